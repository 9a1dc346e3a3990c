"""What these stories are made of: agents, tools, a model that uses them, and what was seen."""

from __future__ import annotations

from autogen_agentchat.agents import AssistantAgent

from agl_core.events import CallRecorded, SpanRecorded, ToolCall
from agl_core.testing import Answer, Asked


async def lookup(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sun"


def use(name: str, arguments: str = "{}") -> Answer:
    """The model wants a tool."""
    return Answer(tool_calls=(ToolCall(id=f"call-{name}", name=name, arguments=arguments),))


def tools_of(asked: Asked) -> list[str]:
    """What the model may use."""
    return [tool["function"]["name"] for tool in asked.body.get("tools", [])]


ARGUMENTS = {"lookup": '{"city": "Kyiv"}', "solver": '{"task": "6 * 7"}', "experts": '{"task": "6 * 7"}'}


def script(asked: Asked) -> Answer:
    """Whoever has a tool uses the first one once, then answers."""
    tools = tools_of(asked)
    if not tools or asked.messages[-1]["role"] == "tool":
        return Answer(text="It is 42.")
    return use(tools[0], ARGUMENTS.get(tools[0], "{}"))


def forecaster(model, **options) -> AssistantAgent:
    """An agent with a tool."""
    return AssistantAgent("forecaster", model, tools=[lookup], reflect_on_tool_use=True, **options)


FORECAST = ("invoke_agent forecaster", "forecaster", [("execute_tool lookup", "forecaster", [])])


def called(world, scope) -> list[str | None]:
    """Who made the calls of an attempt, in their order."""
    return [call.agent for call in world.facts(CallRecorded, scope)]


def spans(world, scope) -> dict[str, SpanRecorded]:
    """By name, which is the story's alone."""
    return {span.name: span for span in world.facts(SpanRecorded, scope)}
