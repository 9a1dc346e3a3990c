"""Pydantic AI's agent on each of its models that speaks a dialect of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from importlib.metadata import version
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from story import CALL, KEY, QUESTION, SYSTEM, TWICE, Story, Sum, add, called

from agl_core.testing import ScriptedModel

PACKAGES = ("pydantic-ai-slim", "openai", "anthropic")
FORMED = (CALL, called("final_result", number=2, **Sum(total=42).model_dump()))


def chat(model: ScriptedModel) -> Any:
    """OpenAI's older route."""
    return OpenAIChatModel("policy", provider=OpenAIProvider(base_url=model.url, api_key=KEY))


def responses(model: ScriptedModel) -> Any:
    """The newer one."""
    return OpenAIResponsesModel("policy", provider=OpenAIProvider(base_url=model.url, api_key=KEY))


def messages(model: ScriptedModel) -> Any:
    """Anthropic's."""
    return AnthropicModel("policy", provider=AnthropicProvider(base_url=model.url.removesuffix("/v1"), api_key=KEY))


def _agent(speaks: Callable[[ScriptedModel], Any], model: ScriptedModel) -> Agent:
    return Agent(speaks(model), tools=[add], system_prompt=SYSTEM)


def whole(speaks: Callable[[ScriptedModel], Any]) -> Callable[[ScriptedModel], object]:
    """An agent that waits for its answers."""
    return lambda model: _agent(speaks, model).run_sync(QUESTION).output


def streamed(speaks: Callable[[ScriptedModel], Any]) -> Callable[[ScriptedModel], object]:
    """One that reads them as they come."""

    async def read(_context: object, events: AsyncIterable[object]) -> None:
        async for _ in events:
            pass

    async def story(model: ScriptedModel) -> object:
        return (await _agent(speaks, model).run(QUESTION, event_stream_handler=read)).output

    return lambda model: asyncio.run(story(model))


def formed(speaks: Callable[[ScriptedModel], Any]) -> Callable[[ScriptedModel], object]:
    """One whose last word must have a form, which is a tool that it must call."""
    return lambda model: Agent(speaks(model), tools=[add], output_type=Sum).run_sync(QUESTION).output


SPOKEN = (
    Story(name="chat", tell=whole(chat)),
    Story(name="chat-streamed", tell=streamed(chat), answers=TWICE),
    Story(name="chat-formed", tell=formed(chat), answers=FORMED),
    Story(name="responses", tell=whole(responses)),
    Story(name="responses-streamed", tell=streamed(responses), answers=TWICE),
)
MESSAGES = (
    Story(name="messages", tell=whole(messages)),
    Story(name="messages-streamed", tell=streamed(messages), answers=TWICE),
    Story(name="messages-formed", tell=formed(messages), answers=FORMED),
)
# 2.31 fails on version 2 of Anthropic's library, before it sends anything.
STORIES = SPOKEN if version("pydantic-ai-slim").startswith("2.31.") else (*SPOKEN, *MESSAGES)
