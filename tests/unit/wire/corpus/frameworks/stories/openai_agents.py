"""OpenAI's Agents SDK on either of its routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import agents
import openai
from story import CALL, KEY, QUESTION, SUM, SYSTEM, TWICE, Story, Sum, add

from agl_core.testing import ScriptedModel

PACKAGES = ("openai-agents", "openai")
TOOL = agents.function_tool(add)
FORMED = (CALL, *SUM)


def _agent(model: ScriptedModel, speaks: Callable[..., Any]) -> agents.Agent[None]:
    client = openai.AsyncOpenAI(base_url=model.url, api_key=KEY, max_retries=0)
    return agents.Agent(
        name="adder", instructions=SYSTEM, tools=[TOOL], model=speaks(model="policy", openai_client=client)
    )


def whole(speaks: Callable[..., Any]) -> Callable[[ScriptedModel], object]:
    """An agent that waits for its answers."""

    def tell(model: ScriptedModel) -> object:
        return agents.Runner.run_sync(_agent(model, speaks), QUESTION).final_output

    return tell


def streamed(speaks: Callable[..., Any]) -> Callable[[ScriptedModel], object]:
    """One that reads them as they come."""

    def tell(model: ScriptedModel) -> object:
        async def story() -> object:
            running = agents.Runner.run_streamed(_agent(model, speaks), QUESTION)
            async for _ in running.stream_events():
                pass
            return running.final_output

        return asyncio.run(story())

    return tell


def formed(speaks: Callable[..., Any]) -> Callable[[ScriptedModel], object]:
    """One whose last word must have a form."""
    return lambda model: agents.Runner.run_sync(_agent(model, speaks).clone(output_type=Sum), QUESTION).final_output


STORIES = (
    Story(name="chat", tell=whole(agents.OpenAIChatCompletionsModel)),
    Story(name="chat-streamed", tell=streamed(agents.OpenAIChatCompletionsModel), answers=TWICE),
    Story(name="responses", tell=whole(agents.OpenAIResponsesModel)),
    Story(name="responses-streamed", tell=streamed(agents.OpenAIResponsesModel), answers=TWICE),
    Story(name="chat-formed", tell=formed(agents.OpenAIChatCompletionsModel), answers=FORMED),
    Story(name="responses-formed", tell=formed(agents.OpenAIResponsesModel), answers=FORMED),
)
