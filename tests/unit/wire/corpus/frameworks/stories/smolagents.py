"""smolagents: the agent that calls tools and the one that writes code, on each of its clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smolagents import CodeAgent, InferenceClientModel, OpenAIModel, ToolCallingAgent, tool
from story import CALL, DONE, KEY, QUESTION, Story, add, called

from agl_core.testing import ScriptedModel

PACKAGES = ("smolagents", "openai", "huggingface-hub")
ENDS = (CALL, called("final_answer", number=2, answer=DONE))
CODE = f'I add.\n<code>\nprint(add(a=40, b=2))\nfinal_answer("{DONE}")\n</code>'


def openai(model: ScriptedModel) -> Any:
    """OpenAI's library."""
    return OpenAIModel(model_id="policy", api_base=model.url, api_key=KEY)


def hub(model: ScriptedModel) -> Any:
    """Hugging Face's own client, at an endpoint."""
    return InferenceClientModel(model_id=None, base_url=model.url, api_key=KEY, model="policy")


def calling(speaks: Callable[[ScriptedModel], Any], *, is_streamed: bool = False) -> Callable[[ScriptedModel], object]:
    """The agent that calls tools."""
    return lambda model: ToolCallingAgent(
        tools=[tool(add)], model=speaks(model), verbosity_level=0, stream_outputs=is_streamed
    ).run(QUESTION, max_steps=3)


def coding(model: ScriptedModel) -> object:
    """The agent that writes code."""
    return CodeAgent(tools=[tool(add)], model=openai(model), verbosity_level=0).run(QUESTION, max_steps=3)


STORIES = (
    Story(name="chat", tell=calling(openai), answers=ENDS),
    Story(name="chat-streamed", tell=calling(openai, is_streamed=True), answers=ENDS),
    Story(name="code", tell=coding, answers=(CODE,)),
    Story(name="hub", tell=calling(hub), answers=ENDS),
)
