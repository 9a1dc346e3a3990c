"""What an event of CrewAI says, in AGL's words and OpenTelemetry's where they have some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from agl_core.spans import plain

__all__ = ["Said", "agent_of", "begun", "ended", "said"]

Said = tuple[str, Literal["begun", "ok", "error"]]
"""What it is about, and how it is with that."""

_PREFIX = "crewai."
_KINDS = {
    "crew_kickoff": "task",
    "flow": "task",
    "method_execution": "task",
    "task": "task",
    "agent_execution": "agent",
    "lite_agent_execution": "agent",
    "tool_usage": "tool",
    "memory_retrieval": "retriever",
    "memory_query": "retriever",
    "knowledge_query": "retriever",
    "knowledge_search_query": "retriever",
    "agent_reasoning": "other",
    "llm_guardrail": "other",
    "mcp_tool_execution": "other",
}
"""In AGL's words for what becomes a span. Model calls do not: the wire tells those, with all that was said."""
_HOW: Mapping[str, Literal["begun", "ok", "error"]] = {
    "started": "begun",
    "completed": "ok",
    "finished": "ok",
    "paused": "ok",
    "failed": "error",
    "error": "error",
}
_INSIDE = ("crewai.agents.", "crewai.experimental.", "crewai.memory.")
_DELEGATIONS = frozenset({"delegate_work_to_coworker", "ask_question_to_coworker"})
_UNTOLD = frozenset(
    {
        *("agent_id", "agent_role", "emission_sequence", "event_id", "fingerprint_metadata", "from_agent", "from_task"),
        *("parent_event_id", "previous_event_id", "source_fingerprint", "source_type", "started_event_id", "task_id"),
        *("task_name", "timestamp", "triggered_by_event_id", "type"),
    }
)
"""What every event has. `plain` finds out about the rest."""


def said(source: Any, event: Any) -> Said | None:
    """Which piece of work begins or ends with an event; nothing for the many that tell of neither."""
    what, _, how = event.type.rpartition("_")
    if what not in _KINDS or how not in _HOW:
        return None
    # CrewAI has its agents and its memory run as flows too: that is how they are made, and not what they do.
    if what in {"flow", "method_execution"} and type(source).__module__.startswith(_INSIDE):
        return None
    return what, _HOW[how]


def agent_of(what: str, event: Any) -> str | None:
    """The name of the agent whose work begins: its role, without the white space that files leave around it."""
    match what:
        case "agent_execution":
            role = event.agent.role
        case "lite_agent_execution":
            role = event.agent_info["role"]
        case "task":
            role = getattr(getattr(event.task, "agent", None), "role", None)
        case _:
            return None
    return role.strip() or None if isinstance(role, str) else None


def begun(what: str, event: Any) -> tuple[str, dict[str, Any]]:
    """The name of the span that begins, and the attributes that are known by then."""
    name, known = _begun(what, event)
    return name, {"agl.span.kind": _KINDS[what], f"{_PREFIX}type": what, **_plain(known)}


def ended(what: str, event: Any) -> dict[str, Any]:
    """The attributes that are known in the end."""
    match what:
        case "crew_kickoff" | "task":
            return _plain({f"{_PREFIX}output": getattr(getattr(event, "output", None), "raw", None)})
        case "agent_execution" | "lite_agent_execution":
            return _plain({f"{_PREFIX}output": getattr(event, "output", None)})
        case "tool_usage":
            failure = getattr(event, "failure", None)
            known = {
                "gen_ai.tool.call.result": getattr(event, "output", None),
                f"{_PREFIX}from_cache": getattr(event, "from_cache", False) or None,
                f"{_PREFIX}failure": getattr(failure, "message", None),
            }
            return _plain(known)
        case "flow" | "method_execution":
            return _plain({f"{_PREFIX}result": getattr(event, "result", None)})
        case _:
            return _rest(event)


def _begun(what: str, event: Any) -> tuple[str, dict[str, Any]]:
    match what:
        case "crew_kickoff":
            return f"crew {event.crew_name or '?'}", {f"{_PREFIX}inputs": event.inputs}
        case "flow":
            return f"flow {event.flow_name}", {f"{_PREFIX}inputs": event.inputs}
        case "method_execution":
            return f"method {event.method_name}", {f"{_PREFIX}params": event.params}
        case "task":
            task = event.task
            told = {f"{_PREFIX}{name}": getattr(task, name, None) for name in ("description", "expected_output")}
            named = getattr(task, "name", None)
            return f"task {named}" if named else "task", told
        case "agent_execution" | "lite_agent_execution":
            role = agent_of(what, event)
            known = {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": role,
                f"{_PREFIX}tools": [tool.name for tool in event.tools or ()],
            }
            return f"invoke_agent {role or '?'}", known
        case "tool_usage":
            return f"execute_tool {event.tool_name}", _tool(event)
        case "llm_guardrail":
            return "guardrail", _rest(event)
        case _:
            return what.replace("_", " "), _rest(event)


def _tool(event: Any) -> dict[str, Any]:
    arguments = event.tool_args
    known = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": event.tool_name,
        "gen_ai.tool.call.arguments": arguments,
    }
    if event.tool_name.lower().replace(" ", "_") in _DELEGATIONS and isinstance(arguments, Mapping):
        known[f"{_PREFIX}coworker"] = arguments.get("coworker")
    return known


def _rest(event: Any) -> dict[str, Any]:
    fields = type(event).model_fields.keys() - _UNTOLD
    return _plain({f"{_PREFIX}{name}": getattr(event, name) for name in sorted(fields)})


def _plain(known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in known.items() if value is not None}
