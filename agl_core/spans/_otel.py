"""A span of OpenTelemetry's SDK as the fact it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agl_core.errors import BadValue
from agl_core.events import SpanRecorded
from agl_core.spans._plain import plain

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["from_otel"]


def from_otel(
    span: ReadableSpan, *, rollout_id: str, attempt_id: str, agent: str | None = None, sequence_id: int | None = None
) -> SpanRecorded:
    """The fact that a span of OpenTelemetry stands for, its attributes as they came."""
    context, status = span.get_span_context(), span.status
    if context is None:
        raise BadValue("span", span.name, why="it has no context, so nothing tells it from another")
    return SpanRecorded(
        rollout_id=rollout_id,
        attempt_id=attempt_id,
        span_id=f"{context.span_id:016x}",
        trace_id=f"{context.trace_id:032x}",
        parent_id=f"{span.parent.span_id:016x}" if span.parent else None,
        name=span.name,
        kind=span.kind.name.lower(),
        attributes=plain(span.attributes or {}),
        events=tuple(
            {"name": event.name, "timestamp": event.timestamp, "attributes": plain(event.attributes or {})}
            for event in span.events
        ),
        status=status.status_code.name.lower(),
        status_message=status.description,
        agent=agent,
        sequence_id=sequence_id,
        started_at=span.start_time or 0,
        ended_at=span.end_time or 0,
        trace_state=context.trace_state.to_header() or None,
        links=tuple(
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                "attributes": plain(link.attributes or {}),
            }
            for link in span.links
        ),
        resource=plain(span.resource.attributes),
        scope=_scope(span),
    )


def _scope(span: ReadableSpan) -> dict[str, Any]:
    scope = span.instrumentation_scope
    if scope is None:
        return {}
    said = {"name": scope.name, "version": scope.version, "attributes": plain(scope.attributes or {})}
    return {name: value for name, value in said.items() if value}
