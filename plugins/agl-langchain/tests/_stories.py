"""What these stories are made of: tools, graphs, a model that uses them, and what their spans look like."""

from __future__ import annotations

from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked

PATIENCE = 60


ASKED = {"messages": [("user", "Kyiv?")]}


@tool
def lookup(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sun"


@tool
def transfer_to_solver() -> Command:
    """Hand over."""
    return Command(goto="solver", graph=Command.PARENT)


def use(*names: str, arguments: str = "{}") -> Answer:
    """The model wants tools."""
    return Answer(tool_calls=tuple(ToolCall(id=f"call-{name}", name=name, arguments=arguments) for name in names))


def once(asked: Asked) -> Answer:
    """Each who has a tool uses it once, then answers."""
    tools = [tool["function"]["name"] for tool in asked.body.get("tools", ())]
    if not tools or asked.messages[-1]["role"] == "tool":
        return Answer(text="Sunny.")
    return use(tools[0], arguments='{"city": "Kyiv"}' if tools[0] == "lookup" else "{}")


def agent_of(name: str, *steps: tuple) -> tuple:
    """An agent's span, and what it did."""
    return (f"invoke_agent {name}", name, list(steps))


def node(name: str, agent: str | None, *inside: tuple) -> tuple:
    """A node's span, and what is in it."""
    return (f"node {name}", agent, list(inside))


def used(name: str, agent: str, *inside: tuple) -> tuple:
    """A tool's span."""
    return (f"execute_tool {name}", agent, list(inside))


FORECASTER = agent_of(
    "forecaster",
    node("model", "forecaster"),
    node("tools", "forecaster", used("lookup", "forecaster")),
    node("model", "forecaster"),
)


def graph_of(*nodes: tuple, name: str | None = None, state=MessagesState):
    """A graph made by hand, one node after the other."""
    graph = StateGraph(state)
    graph.add_sequence(list(nodes))
    graph.add_edge(START, nodes[0][0])
    return graph.compile(name=name)
