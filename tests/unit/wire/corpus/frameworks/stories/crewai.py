"""A crew of one, on crewAI's own clients and on LiteLLM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from story import DONE, KEY, QUESTION, TWICE, Story, add

from agl_core.testing import ScriptedModel

PACKAGES = ("crewai", "openai", "anthropic", "litellm")

WRITES = (
    'Thought: I add.\nAction: add\nAction Input: {"a": 40, "b": 2}',
    f"Thought: I now know the final answer\nFinal Answer: {DONE}",
)
"""LiteLLM does not know of our model that it calls functions."""


def chat(model: ScriptedModel, **more: Any) -> Any:
    """OpenAI's library."""
    return LLM(model="openai/policy", base_url=model.url, api_key=KEY, **more)


def litellm(model: ScriptedModel) -> Any:
    """LiteLLM."""
    return LLM(model="openai/policy", base_url=model.url, api_key=KEY, is_litellm=True)


def messages(model: ScriptedModel) -> Any:
    """Anthropic's library."""
    url = model.url.removesuffix("/v1")
    return LLM(model="policy", provider="anthropic", base_url=url, api_key=KEY, max_tokens=256)


def crew(speaks: Callable[..., Any], **more: Any) -> Callable[[ScriptedModel], object]:
    """One agent, one task, one tool."""

    def tell(model: ScriptedModel) -> object:
        agent = Agent(
            role="Adder",
            goal="Add numbers",
            backstory="You have always added numbers.",
            tools=[tool("add")(add)],
            llm=speaks(model, **more),
        )
        task = Task(description=QUESTION, expected_output="The sum, in a sentence.", agent=agent)
        return Crew(agents=[agent], tasks=[task]).kickoff().raw

    return tell


STORIES = (
    Story(name="chat", tell=crew(chat)),
    Story(name="chat-streamed", tell=crew(chat, stream=True), answers=TWICE),
    Story(name="messages", tell=crew(messages)),
    Story(name="litellm", tell=crew(litellm), answers=WRITES),
)
