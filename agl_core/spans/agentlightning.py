"""Agent Lightning v0.3: rewards, annotations, messages, objects and operations. `agl.emit_*` writes them too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from agl_core.events import SpanRecorded
from agl_core.spans import gen_ai
from agl_core.spans._attributes import at, decoded, flag, gathered, number, rows, text
from agl_core.spans._messages import messages
from agl_core.spans.meaning import Kind, Score, SpanMeaning

__all__ = ["NAME", "read", "scores"]

NAME = "agentlightning"

_SPANS = frozenset(
    f"agentlightning.{name}"
    for name in ("annotation", "message", "object", "exception", "operation", "reward", "virtual")
)
_SAID = tuple(f"agentlightning.{name}." for name in ("reward", "message", "object", "operation"))
"""Tags, links and ids may stand on any span, and do not make it one of these."""
_LEGACY = ("agentops.task.output", "agentops.entity.output")
"""Where v0.2 put its rewards."""


def read(span: SpanRecorded) -> SpanMeaning | None:
    """A span with one of the names of v0.3, or with what only such a span says."""
    found = span.attributes
    said = tuple(scores(found))
    if not said and span.name not in _SPANS and not flag(found, *_SAID):
        return None
    base = replace(
        gen_ai.said(span), dialect=NAME, error=gen_ai.error(span) or text(found, "exception.type"), scores=said
    )
    if said:
        return replace(base, kind="reward")
    if span.name == "agentlightning.operation" or flag(found, "agentlightning.operation."):
        return _operation(base, found)
    came = [found.get(name) for name in ("agentlightning.message.body", "agentlightning.object.literal")]
    came.append(decoded(found.get("agentlightning.object.json")))
    return replace(base, kind="other", result=next((one for one in came if one is not None), None))


def _operation(base: SpanMeaning, found: Mapping[str, Any]) -> SpanMeaning:
    choices = rows(found, "agentlightning.operation.output.choices")
    asked = messages(rows(found, "agentlightning.operation.input.messages"))
    kind: Kind = "model_call" if choices and asked else "task"
    if kind == "task":
        given, came = (gathered(found, f"agentlightning.operation.{way}") for way in ("input", "output"))
        return replace(base, kind=kind, arguments=given, result=came)
    # A call as the tracer for Weave has it: request and answer, name by name.
    return replace(
        base,
        kind=kind,
        model=text(found, "agentlightning.operation.output.model", "agentlightning.operation.input.model"),
        messages=asked,
        answers=messages(choices, role="assistant"),
        finish_reasons=tuple(reason for one in choices if (reason := text(one, "finish_reason")) is not None),
        response_id=text(found, "agentlightning.operation.output.id"),
    )


def scores(found: Mapping[str, Any]) -> Iterator[Score]:
    """The rewards that attributes state, the one that trains first."""
    for row in rows(found, "agentlightning.reward"):
        if (value := number(row.get("value"))) is not None:
            yield Score(name=text(row, "name") or "primary", value=value)
    for name in _LEGACY:
        told = decoded(found.get(name))
        if at(told, "type") == "reward" and (value := number(at(told, "value"))) is not None:
            yield Score(name="primary", value=value)
