"""Two agents of CrewAI in a crew: one writes, the other improves."""

from __future__ import annotations

import asyncio
import json
import os

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool


@tool("times")
def times(a: int, b: int) -> int:
    """Multiply."""
    return a * b


async def answer(question: str, *, model: str = "policy", url: str | None = None, key: str | None = None) -> str:
    """What the critic made of the writer's words."""
    speaks = LLM(model=f"openai/{model}", base_url=url or os.environ["OPENAI_BASE_URL"], api_key=key)
    writer = Agent(role="writer", goal="Answer.", backstory="You know.", tools=[times], llm=speaks, max_iter=3)
    critic = Agent(role="critic", goal="Say it better.", backstory="You care.", llm=speaks, max_iter=3)
    tasks = [
        Task(description=question, expected_output="A sentence.", agent=writer),
        Task(description="Say it better.", expected_output="A sentence.", agent=critic),
    ]
    result = await Crew(agents=[writer, critic], tasks=tasks).kickoff_async()
    return str(result.raw)


if __name__ == "__main__":
    print(asyncio.run(answer(json.loads(os.environ["AGL_TASK"])["question"])))
