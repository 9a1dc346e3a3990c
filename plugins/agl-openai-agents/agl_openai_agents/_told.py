"""What a span of the SDK says, in AGL's words and OpenTelemetry's where they have some."""

from __future__ import annotations

from typing import Any

from agl_core.spans import plain

__all__ = ["is_model_call", "told"]

_PREFIX = "openai_agents."
_MODEL_CALLS = frozenset({"generation", "response", "transcription", "speech"})
_KINDS = {"agent": "agent", "function": "tool", "handoff": "handoff", "task": "task"}
"""In AGL's words for what a span is; others are `other`."""
_UNTOLD = frozenset({"type", "name"})


def is_model_call(data: Any) -> bool:
    """Whether it stands for a request to a model: the wire tells those, with all that was said."""
    return data.type in _MODEL_CALLS


def told(span: Any, error: Any) -> dict[str, Any]:
    """The fields of a fact that come from the span itself."""
    data = span.span_data
    trace_id = span.trace_id
    fields: dict[str, Any] = {
        "trace_id": trace_id if trace_id != "no-op" else None,
        "name": _name(data),
        "attributes": {
            "agl.span.kind": _KINDS.get(data.type, "other"),
            f"{_PREFIX}type": data.type,
            **_attributes(data),
        },
        "status": "ok" if error is None else "error",
    }
    if error is not None:
        fields["status_message"] = str(error["message"])
        if kind := error.get("type"):
            fields["attributes"]["error.type"] = kind
        if details := error.get("data"):
            fields["attributes"][f"{_PREFIX}error"] = plain(details)
    return fields


def _name(data: Any) -> str:
    match data.type:
        case "agent":
            return f"invoke_agent {data.name}"
        case "function":
            return f"execute_tool {data.name}"
        case "handoff":
            return f"handoff {data.to_agent or '?'}"
        case "turn":
            return f"turn {data.turn}"
        case kind if name := getattr(data, "name", None):
            return f"{kind} {name}"
        case kind:
            return str(kind)


def _attributes(data: Any) -> dict[str, Any]:
    match data.type:
        case "agent":
            known = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": data.name}
            return known | _own(data, "tools", "handoffs", "output_type")
        case "function":
            known = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": data.name,
                "gen_ai.tool.call.arguments": data.input,
                "gen_ai.tool.call.result": data.output,
            }
            return {name: plain(value) for name, value in known.items() if value is not None} | _own(data, "mcp_data")
        case "handoff":
            # One that failed knows nobody who goes on.
            known = {"agl.handoff.agent.name": data.to_agent} if data.to_agent else {}
            return known | _own(data, "from_agent", "to_agent")
        case "turn":
            return _own(data, "turn", "usage")
        case "task":
            return _own(data, "name", "usage")
        case _:
            said = data.export()
            return {f"{_PREFIX}{name}": plain(value) for name, value in said.items() if name not in _UNTOLD}


def _own(data: Any, *names: str) -> dict[str, Any]:
    found = {name: getattr(data, name, None) for name in names}
    return {f"{_PREFIX}{name}": plain(value) for name, value in found.items() if value is not None}
