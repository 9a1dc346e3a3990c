"""Spans: the structure around model calls, as OpenTelemetry has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from agl_core.events._base import Event, Pooled, event

__all__ = ["SpanRecorded", "SpanUnassigned"]


@event("span.recorded", schema=1)
class SpanRecorded(Event):
    """A piece of an agent's work began and ended."""

    rollout_id: str
    attempt_id: str
    span_id: str
    """`sp-...`, or 16 hexadecimal digits when OpenTelemetry named it."""
    trace_id: str | None = None
    parent_id: str | None = None
    name: str
    kind: str = "internal"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """As they came; dialects derive the canonical form on read."""
    events: tuple[Mapping[str, Any], ...] = ()
    status: str = "unset"
    """`unset`, `ok` or `error`."""
    status_message: str | None = None
    agent: str | None = None
    sequence_id: int | None = None
    """Its place among the spans of the rollout, when the sender had asked for one; else it is the next."""
    started_at: int
    ended_at: int
    trace_state: str | None = None
    links: tuple[Mapping[str, Any], ...] = ()
    """Other spans it has to do with: `trace_id`, `span_id`, `attributes`."""
    resource: Pooled[Mapping[str, Any]] = field(default_factory=dict)
    """Attributes of the program that sent it."""
    scope: Pooled[Mapping[str, Any]] = field(default_factory=dict)
    """The instrumentation that made it: `name`, `version`, `attributes`."""


@event("span.unassigned", schema=1)
class SpanUnassigned(Event):
    """A span came of which nobody could tell whose it is; the same fields, as they came."""

    why: str
    """What was looked for, and not found."""
    trace_id: str
    span_id: str
    parent_id: str | None = None
    name: str
    kind: str = "internal"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Mapping[str, Any], ...] = ()
    status: str = "unset"
    status_message: str | None = None
    started_at: int
    ended_at: int
    trace_state: str | None = None
    links: tuple[Mapping[str, Any], ...] = ()
    resource: Pooled[Mapping[str, Any]] = field(default_factory=dict)
    scope: Pooled[Mapping[str, Any]] = field(default_factory=dict)
