"""A span without ids: what an emitter gives back, and what an agent may return."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from agl_core.emit._attributes import sanitize_attributes
from agl_core.errors import BadValue
from agl_core.events import SpanRecorded
from agl_core.ids import new_id
from agl_core.recorder import Scope, current
from agl_core.spans import plain
from agl_core.store import TraceStatus

__all__ = ["Around", "SpanCoreFields", "around", "core", "parent_of", "recorded", "sent"]

_SECOND = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanCoreFields:
    """What a span says, and whose it is nobody said. Times are seconds since the epoch."""

    name: str
    status: TraceStatus = TraceStatus()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    start_time: float | None = None
    end_time: float | None = None


@dataclass(frozen=True, slots=True)
class Around:
    """An operation under way."""

    attempt_id: str | None
    """None where it is under way outside an attempt."""
    span_id: str


around: ContextVar[Around | None] = ContextVar("agl_operation", default=None)
"""The innermost in this context."""


def parent_of(scope: Scope) -> str | None:
    """The span of the operation around what is said here, if it is of the same attempt."""
    found = around.get()
    return found.span_id if found is not None and found.attempt_id == scope.attempt_id else None


def core(
    name: str, attributes: Mapping[str, Any], *, error: str | None = None, began: float | None = None
) -> SpanCoreFields:
    """A span that ends now; one that just happened also began now."""
    now = time.time()
    return SpanCoreFields(
        name=name,
        status=TraceStatus(status_code="OK") if error is None else TraceStatus(status_code="ERROR", description=error),
        attributes=plain(sanitize_attributes(attributes)),
        start_time=now if began is None else began,
        end_time=now,
    )


def sent(said: SpanCoreFields, *, propagate: bool) -> SpanCoreFields:
    """Keep it with the attempt under way, unless it is not to go anywhere."""
    if propagate:
        scope = current(f"a span {said.name!r}")
        scope.expect(scope.recorder.record(recorded(said, scope, parent_id=parent_of(scope)), scope))
    return said


def recorded(
    said: SpanCoreFields, scope: Scope, *, span_id: str | None = None, parent_id: str | None = None
) -> SpanRecorded:
    """The fact that it is in that attempt; times that nobody said are now."""
    now = time.time()
    started = now if said.start_time is None else said.start_time
    return SpanRecorded(
        rollout_id=scope.rollout_id,
        attempt_id=scope.attempt_id,
        span_id=span_id or new_id("sp"),
        parent_id=parent_id,
        name=said.name,
        attributes=said.attributes,
        status=said.status.status_code.lower(),
        status_message=said.status.description,
        agent=scope.agent,
        started_at=_nanoseconds(started),
        ended_at=_nanoseconds(max(started, now) if said.end_time is None else said.end_time),
    )


def _nanoseconds(seconds: float) -> int:
    try:
        return round(seconds * _SECOND)
    except (TypeError, ValueError, OverflowError):
        raise BadValue("time of a span", seconds, why="it is a number of seconds since the epoch") from None
