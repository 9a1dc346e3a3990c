"""Google's Agent Development Kit, on models that are not Google's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.anthropic_llm import AnthropicLlm
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.genai import types
from story import KEY, QUESTION, SYSTEM, TWICE, Story, add

from agl_core.testing import ScriptedModel

PACKAGES = ("google-adk", "google-genai", "litellm", "anthropic", "openai")


def chat(model: ScriptedModel) -> Any:
    """Through LiteLLM."""
    return LiteLlm(model="openai/policy", api_base=model.url, api_key=KEY)


def messages(model: ScriptedModel) -> Any:
    """Through Anthropic's library, which is told by the environment where to go."""
    os.environ.update(ANTHROPIC_BASE_URL=model.url.removesuffix("/v1"), ANTHROPIC_API_KEY=KEY)
    return AnthropicLlm(model="policy", max_tokens=256)


def agent(speaks: Callable[[ScriptedModel], Any], *, is_streamed: bool = False) -> Callable[[ScriptedModel], object]:
    """One agent in one session."""

    async def story(model: ScriptedModel) -> object:
        adder = LlmAgent(name="adder", model=speaks(model), instruction=SYSTEM, tools=[add])
        runner = InMemoryRunner(agent=adder, app_name="sums")
        session = await runner.session_service.create_session(app_name="sums", user_id="ann")
        asked = types.Content(role="user", parts=[types.Part(text=QUESTION)])
        mode = StreamingMode.SSE if is_streamed else StreamingMode.NONE
        events = runner.run_async(
            user_id="ann", session_id=session.id, new_message=asked, run_config=RunConfig(streaming_mode=mode)
        )
        *_, last = [event async for event in events]
        return last.content

    return lambda model: asyncio.run(story(model))


STORIES = (
    Story(name="chat", tell=agent(chat)),
    Story(name="chat-streamed", tell=agent(chat, is_streamed=True), answers=TWICE),
    Story(name="messages", tell=agent(messages)),
    Story(name="messages-streamed", tell=agent(messages, is_streamed=True), answers=TWICE),
)
