"""What AutoGen does, in AGL's words and OpenTelemetry's where they have some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agl_core.spans import plain

__all__ = ["Work", "by_agent", "by_team", "by_tool", "came_of_team", "came_of_tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A piece of it, as far as it is known when it begins."""

    name: str
    subject: object
    """The agent, team or tool that does it."""
    agent: str | None = None
    """Whose work it is from here on; null where that does not change."""
    is_wished: bool = False
    """Whether a model wanted it."""
    is_of_message: bool = False
    """Whether AutoGen's runtime delivered a message for it."""
    attributes: Mapping[str, Any] = field(default_factory=dict)


def by_agent(agent: object, name: str, *, address: object = None, message: object = None) -> Work:
    """An agent takes a turn: called, or because of a message to its address in a runtime."""
    attributes = {
        "agl.span.kind": "agent",
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": name,
        "autogen.class": type(agent).__name__,
    }
    if address is not None:
        attributes |= {"gen_ai.agent.id": str(address), "autogen.message": type(message).__name__}
    is_of_message = address is not None
    return Work(
        name=f"invoke_agent {name}", subject=agent, agent=name, is_of_message=is_of_message, attributes=attributes
    )


def by_team(team: Any) -> Work:
    """A team runs."""
    attributes = {
        "agl.span.kind": "task",
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": team.name,
        "autogen.class": type(team).__name__,
        "autogen.participants": [member.name for member in team._participants],  # noqa: SLF001 - nothing public tells
    }
    return Work(name=f"invoke_workflow {team.name}", subject=team, attributes=attributes)


def by_tool(
    tool: object, name: str, arguments: Mapping[str, Any] | None, call_id: str | None, *, handed_to: str | None = None
) -> Work:
    """A tool runs, or hands over to another agent."""
    attributes: dict[str, Any] = {
        "agl.span.kind": "handoff" if handed_to else "tool",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.arguments": plain(arguments or {}),
        "autogen.class": type(tool).__name__,
    }
    if call_id:
        attributes["gen_ai.tool.call.id"] = call_id
    if handed_to:
        attributes["agl.handoff.agent.name"] = handed_to
    name = f"handoff {handed_to}" if handed_to else f"execute_tool {name}"
    return Work(name=name, subject=tool, is_wished=bool(call_id), attributes=attributes)


def came_of_team(result: Any) -> Mapping[str, Any]:
    """Why a team stopped, of the last thing that its stream gave."""
    reason = getattr(result, "stop_reason", None)
    return {"autogen.stop_reason": reason} if reason else {}


def came_of_tool(tool: Any, value: Any) -> Mapping[str, Any]:
    """The value as JSON has it; else the text that AutoGen would give to the model."""
    match value:
        case None:
            return {}
        case bool() | int() | float() | str() | Mapping() | list() | tuple():
            result = plain(value)
        case _:
            result = str(tool.return_value_as_string(value))
    return {"gen_ai.tool.call.result": result}
