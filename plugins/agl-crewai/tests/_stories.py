"""What these stories are made of: agents, tasks, a model that uses tools, and what their spans look like."""

from __future__ import annotations

import asyncio

from crewai import Agent, Crew, Task
from crewai.tools import tool

from agl_core.events import CallRecorded, SpanRecorded, ToolCall
from agl_core.testing import Answer, Asked

PATIENCE = 60


@tool("times")
def times(a: int, b: int) -> int:
    """Multiply."""
    return a * b


def use(name: str, arguments: str = "{}") -> Answer:
    """The model wants a tool."""
    return Answer(tool_calls=(ToolCall(id=f"call-{name}", name=name, arguments=arguments),))


def tools_of(asked: Asked) -> list[str]:
    """What may be used."""
    return [tool["function"]["name"] for tool in asked.body.get("tools", ())]


def script(asked: Asked) -> Answer:
    """Who may delegate does, who may multiply does that, and then each has an answer."""
    if asked.messages[-1]["role"] == "tool":
        return Answer(text="It is 42.")
    if "delegate_work_to_coworker" in tools_of(asked):
        return use("delegate_work_to_coworker", '{"task": "6 * 7?", "context": "none", "coworker": "writer"}')
    return use("times", '{"a": 6, "b": 7}') if "times" in tools_of(asked) else Answer(text="Forty-two.")


def an_agent(role: str, llm, **fields) -> Agent:
    """Somebody."""
    return Agent(role=role, goal="Answer.", backstory="You know.", llm=llm, **fields)


def a_task(agent: Agent | None, description: str = "6 * 7?", **fields) -> Task:
    """For somebody."""
    return Task(description=description, expected_output="A sentence.", agent=agent, **fields)


def a_pair(llm, **fields) -> Crew:
    """A writer with a tool hands over to a critic."""
    writer, critic = an_agent("writer\n", llm, tools=[times]), an_agent("critic", llm)
    tasks = [a_task(writer, **fields), a_task(critic, "Say it better.", name="improve")]
    return Crew(name="pair", agents=[writer, critic], tasks=tasks)


def worked(agent: str, *tools: str, task: str = "task") -> tuple:
    """A task of an agent that used its tools."""
    return (task, agent, [(f"invoke_agent {agent}", agent, [(f"execute_tool {name}", agent, []) for name in tools])])


PAIR = [("crew pair", None, [worked("writer", "times"), worked("critic", task="task improve")])]


WAYS = {
    "kickoff": lambda crew: asyncio.to_thread(crew.kickoff),
    "kickoff_async": lambda crew: crew.kickoff_async(),
    "akickoff": lambda crew: crew.akickoff(),
}


def callers(world, scope) -> list[str | None]:
    """Who made the calls, in their order."""
    return [call.agent for call in world.facts(CallRecorded, scope)]


def spans(world, scope) -> dict[str, SpanRecorded]:
    """By their names."""
    return {span.name: span for span in world.facts(SpanRecorded, scope)}
