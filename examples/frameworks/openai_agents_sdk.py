"""Two agents of the OpenAI Agents SDK: one writes, the other improves."""

from __future__ import annotations

import asyncio
import json
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI


@function_tool
def times(a: int, b: int) -> int:
    """Multiply."""
    return a * b


async def answer(question: str, *, model: str = "policy", url: str | None = None, key: str | None = None) -> str:
    """What the critic made of the writer's words."""
    async with AsyncOpenAI(base_url=url, api_key=key) as client:
        speaks = OpenAIChatCompletionsModel(model=model, openai_client=client)
        writer = Agent(name="writer", instructions="Answer.", model=speaks, tools=[times])
        critic = Agent(name="critic", instructions="Say it better.", model=speaks)
        draft = await Runner.run(writer, question)
        final = await Runner.run(critic, f"{question}\n{draft.final_output}")
    return str(final.final_output)


if __name__ == "__main__":
    print(asyncio.run(answer(json.loads(os.environ["AGL_TASK"])["question"])))
