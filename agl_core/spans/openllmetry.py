"""OpenLLMetry, by Traceloop: `gen_ai.prompt.0.role` and the like. AgentOps writes it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agl_core.events import SpanRecorded
from agl_core.spans import _langchain, gen_ai
from agl_core.spans._attributes import decoded, flag, rows, text
from agl_core.spans._messages import messages
from agl_core.spans.meaning import Kind, SpanMeaning

__all__ = ["NAME", "read"]

NAME = "openllmetry"

_KINDS: Mapping[str, Kind] = {
    "agent": "agent",
    "chain": "task",
    "handoff": "handoff",
    "llm": "model_call",
    "operation": "task",
    "session": "task",
    "task": "task",
    "tool": "tool",
    "workflow": "task",
}
_REQUESTS: Mapping[str, Kind] = {
    "chat": "model_call",
    "completion": "model_call",
    "embedding": "model_call",
    "rerank": "retriever",
}
"""By `llm.request.type`, and AgentOps' `gen_ai.request.type`."""
_OPERATIONS: Mapping[str, Kind] = {"vector_db_retrieve": "retriever"}
"""By `gen_ai.operation.name`: what its kinds call a task."""
_CHAT = ("gen_ai.prompt.", "gen_ai.completion.")


def read(span: SpanRecorded) -> SpanMeaning | None:
    """A span with a name of Traceloop's, a kind of AgentOps', or a chat in flat names."""
    found = span.attributes
    told = text(found, "traceloop.span.kind", "agentops.span.kind")
    asked = text(found, "llm.request.type", "gen_ai.request.type")
    flat = flag(found, *_CHAT)
    if told is None and asked is None and not flat and not flag(found, "traceloop."):
        return None
    base = gen_ai.said(span)
    kind = (
        _OPERATIONS.get(text(found, "gen_ai.operation.name") or "")
        or _KINDS.get(_word(told or ""))
        or _REQUESTS.get(asked or "")
        or ("model_call" if flat else base.kind)
    )
    completions = rows(found, "gen_ai.completion")
    entity = text(found, "traceloop.entity.name", "agentops.entity.name", "operation.name")
    given = decoded(found.get("traceloop.entity.input", found.get("agentops.entity.input")))
    came = decoded(found.get("traceloop.entity.output", found.get("agentops.entity.output")))
    result, call = _langchain.came(_first(base.result, came, decoded(found.get("tool.result"))))
    reasons = (text(one, "finish_reason") for one in completions)
    return replace(
        base,
        kind=kind,
        dialect=NAME,
        agent=base.agent or _agent(found) or (entity if kind == "agent" else None),
        handed_to=text(found, "gen_ai.handoff.to_agent", "to_agent") if kind == "handoff" else None,
        tool_call_id=base.tool_call_id or text(found, "tool.call.id") or (call if kind == "tool" else None),
        tool=base.tool or text(found, "tool.name") or (entity if kind == "tool" else None),
        arguments=_given(_first(base.arguments, given, decoded(found.get("tool.parameters")))),
        result=result,
        messages=base.messages or messages(rows(found, "gen_ai.prompt"), role="user"),
        answers=base.answers or messages(completions, role="assistant"),
        finish_reasons=base.finish_reasons or tuple(filter(None, reasons)),
        conversation_id=base.conversation_id
        or text(found, "traceloop.association.properties.session_id", "traceloop.association.properties.thread_id"),
    )


def _word(told: str) -> str:
    """The kind alone: AgentOps may write `AgentOpsSpanKindValues.TOOL`."""
    return told.rpartition(".")[-1].lower()


def _agent(found: Mapping[str, Any]) -> str | None:
    names = ("agent.name", "gen_ai.handoff.from_agent", "from_agent", "traceloop.association.properties.lc_agent_name")
    return text(found, *names)


def _given(said: Any) -> Any:
    """The arguments of a decorated function: those with names, where all have one."""
    match said:
        case {"args": [], "kwargs": dict() as named, **others} if not others:
            return named
        case _:
            return _langchain.given(said)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
