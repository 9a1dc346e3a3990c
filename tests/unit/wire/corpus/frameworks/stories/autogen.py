"""AutoGen's assistant, that reflects on what its tool gave."""

from __future__ import annotations

import asyncio
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from story import KEY, QUESTION, SUM, SYSTEM, TWICE, Story, Sum, add

from agl_core.testing import ScriptedModel

PACKAGES = ("autogen-agentchat", "autogen-core", "autogen-ext", "openai")
CAN: Any = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "family": "unknown",
    "structured_output": True,
}


def _agent(model: ScriptedModel, *, is_streamed: bool) -> AssistantAgent:
    client = OpenAIChatCompletionClient(
        model="policy", base_url=model.url, api_key=KEY, model_info=CAN, include_name_in_message=True, max_retries=0
    )
    return AssistantAgent(
        "adder",
        model_client=client,
        tools=[add],
        system_message=SYSTEM,
        reflect_on_tool_use=True,
        model_client_stream=is_streamed,
    )


def whole(model: ScriptedModel) -> object:
    """The last message."""

    async def story() -> object:
        return (await _agent(model, is_streamed=False).run(task=QUESTION)).messages[-1]

    return asyncio.run(story())


def formed(model: ScriptedModel) -> object:
    """A last message that must have a form."""

    async def story() -> object:
        client = OpenAIChatCompletionClient(model="policy", base_url=model.url, api_key=KEY, model_info=CAN)
        agent = AssistantAgent("adder", model_client=client, system_message=SYSTEM, output_content_type=Sum)
        return (await agent.run(task=QUESTION)).messages[-1]

    return asyncio.run(story())


def streamed(model: ScriptedModel) -> object:
    """Events, and the result at their end."""

    async def story() -> object:
        *_, result = [event async for event in _agent(model, is_streamed=True).run_stream(task=QUESTION)]
        return result

    return asyncio.run(story())


STORIES = (
    Story(name="chat", tell=whole),
    Story(name="chat-streamed", tell=streamed, answers=TWICE),
    Story(name="chat-formed", tell=formed, answers=SUM),
)
