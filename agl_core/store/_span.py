"""A span as readers get it: Agent Lightning's fields, made from the fact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agl_core.errors import BadValue
from agl_core.events import SpanRecorded

__all__ = ["Span", "TraceStatus"]

_SECOND = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStatus:
    """How a span ended."""

    status_code: Literal["UNSET", "OK", "ERROR"] = "UNSET"
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of an agent's work. Times are seconds since the epoch."""

    rollout_id: str
    attempt_id: str
    sequence_id: int | None = None
    """Its place among the spans of the rollout; None before the store has given it one."""
    trace_id: str | None = None
    span_id: str
    parent_id: str | None = None
    name: str
    status: TraceStatus = TraceStatus()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Mapping[str, Any], ...] = ()
    start_time: float
    end_time: float
    kind: str = "internal"
    agent: str | None = None

    @classmethod
    def of(cls, event: SpanRecorded, sequence_id: int) -> Span:
        """The span that a fact tells of."""
        return cls(
            rollout_id=event.rollout_id, attempt_id=event.attempt_id, sequence_id=sequence_id,
            trace_id=event.trace_id, span_id=event.span_id, parent_id=event.parent_id, name=event.name,
            status=TraceStatus(status_code=event.status.upper(), description=event.status_message),  # type: ignore[arg-type]  # `unset`, `ok` or `error` there
            attributes=event.attributes, events=event.events, start_time=event.started_at / _SECOND,
            end_time=event.ended_at / _SECOND, kind=event.kind, agent=event.agent,
        )  # fmt: skip

    def recorded(self) -> SpanRecorded:
        """The fact that it is."""
        return SpanRecorded(
            rollout_id=self.rollout_id, attempt_id=self.attempt_id, sequence_id=self.sequence_id,
            trace_id=self.trace_id, span_id=self.span_id, parent_id=self.parent_id, name=self.name,
            status=self.status.status_code.lower(), status_message=self.status.description,
            attributes=self.attributes, events=self.events, started_at=_nanoseconds("start_time", self.start_time),
            ended_at=_nanoseconds("end_time", self.end_time), kind=self.kind, agent=self.agent,
        )  # fmt: skip


def _nanoseconds(what: str, seconds: float) -> int:
    try:
        return round(seconds * _SECOND)
    except (TypeError, ValueError, OverflowError):
        raise BadValue(what, seconds, why="it is a number of seconds since the epoch") from None
