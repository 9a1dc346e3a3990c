"""Whose work is done in a node of a graph."""

from __future__ import annotations

from typing import Any

from agl_langchain._run import Run

__all__ = ["begun"]

_UNNAMED = "LangGraph"
"""What LangGraph calls a graph that was given no name."""
_STEP = "graph:step:"
"""Begins the tag of what a graph runs itself, and not of a function that one of its nodes calls."""
_MAKERS = frozenset({"langchain.agents.factory", "langgraph.prebuilt.chat_agent_executor"})
"""Where `create_agent` and `create_react_agent` are, and the code of the nodes that they make."""


def begun(above: Run, task: Any) -> str | None:
    """The agent at work in a task that is about to run in `above`; null: whoever is around it.

    The outermost graph, when it is made by hand, is a team: its nodes are the members, and so are functions that they
    call as tasks. Every other graph is one agent, by the name it was given, or else by that of the node or the tool
    that it runs in.
    """
    if not any(tag.startswith(_STEP) for tag in task.config["callbacks"].tags):
        graphs = [run for run in (above, *above.above) if run.what == "graph"]
        return str(task.name) if len(graphs) == 1 and not graphs[0].is_agents else None
    graph = above
    outer = next((run for run in graph.above if run.what == "graph"), None)
    graph.what = "graph"
    graph.is_agents = graph.is_agents or _is_agents(graph, task)
    if outer is None and not graph.is_agents:
        return str(task.name)
    name = _given(graph, outer) or _around(graph)
    if name is not None:
        graph.agent, graph.is_agent = name, True
    return name


def _is_agents(graph: Run, task: Any) -> bool:
    if graph.metadata.get("ls_integration") == "langchain_create_agent":
        return True
    # Older versions, and `create_react_agent`, say so by their code only.
    code = next(iter(getattr(task.proc, "steps", ())), task.proc)
    found = getattr(code, "func", None) or getattr(code, "afunc", None)
    return getattr(found, "__module__", None) in _MAKERS


def _given(graph: Run, outer: Run | None) -> str | None:
    own = graph.metadata.get("lc_agent_name")
    # What runs in an agent has its metadata too.
    if isinstance(own, str) and own and (outer is None or own != outer.metadata.get("lc_agent_name")):
        return own
    return graph.name if graph.name != _UNNAMED else None


def _around(graph: Run) -> str | None:
    for run in graph.above:
        match run:
            case Run(what="tool"):
                return run.name
            case Run(what="node", parent=Run(is_agents=False)):
                return run.name
            case Run(what="node" | "graph"):
                return None  # an agent's own nodes are called `model` and `tools`, whoever it is
    return None
