"""The OpenTelemetry bridge: spans of a host's own provider, kept with the attempt under way.

The host adds `Processor()` to its TracerProvider; we never set the global one, and spans outside an attempt are left
to the host's other processors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import format_span_id, format_trace_id

from agl_core.errors import OutsideAttempt
from agl_core.events import SpanRecorded
from agl_core.recorder import Scope, current

__all__ = ["Processor", "recorded"]


class Processor(SpanProcessor):
    """Keeps every span that ends inside an attempt. Never raises into the host's code."""

    def on_end(self, span: ReadableSpan) -> None:
        """Called by OpenTelemetry, in the context the span ends in."""
        try:
            scope = current("a span")
        except OutsideAttempt:
            return
        scope.pending.append(scope.recorder.record(recorded(span, scope), scope))


def recorded(span: ReadableSpan, scope: Scope) -> SpanRecorded:
    """The fact that a span stands for, its attributes as they came."""
    context, status = span.get_span_context(), span.status
    assert context is not None, "a span that ended has a context"
    return SpanRecorded(
        rollout_id=scope.rollout_id,
        attempt_id=scope.attempt_id,
        span_id=format_span_id(context.span_id),
        trace_id=format_trace_id(context.trace_id),
        parent_id=format_span_id(span.parent.span_id) if span.parent else None,
        name=span.name,
        kind=span.kind.name.lower(),
        attributes=_plain(span.attributes or {}),
        events=tuple(
            {"name": event.name, "timestamp": event.timestamp, "attributes": _plain(event.attributes or {})}
            for event in span.events
        ),
        status=status.status_code.name.lower(),
        status_message=status.description,
        agent=scope.agent,
        started_at=span.start_time or 0,
        ended_at=span.end_time or 0,
    )


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in attributes.items()}
