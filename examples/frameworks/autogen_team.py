"""Two agents of AutoGen in a team: one writes, the other improves."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

CAN: Any = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "family": "unknown",
    "structured_output": True,
}


async def times(a: int, b: int) -> int:
    """Multiply."""
    return a * b


async def answer(question: str, *, model: str = "policy", url: str | None = None, key: str | None = None) -> str:
    """What the critic made of the writer's words."""
    given: dict[str, Any] = {"base_url": url, "api_key": key} if url else {}
    speaks = OpenAIChatCompletionClient(model=model, model_info=CAN, include_name_in_message=False, **given)
    writer = AssistantAgent("writer", speaks, tools=[times], system_message="Answer.")
    critic = AssistantAgent("critic", speaks, system_message="Say it better.")
    result = await RoundRobinGroupChat([writer, critic], max_turns=2).run(task=question)
    await speaks.close()
    return str(getattr(result.messages[-1], "content", ""))


if __name__ == "__main__":
    print(asyncio.run(answer(json.loads(os.environ["AGL_TASK"])["question"])))
