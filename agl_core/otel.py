"""The OpenTelemetry bridge: spans of a host's own provider, kept with the attempt under way.

The host adds `Processor()` to its TracerProvider; we never set the global one, and spans outside an attempt are left
to the host's other processors.
"""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from agl_core.errors import OutsideAttempt
from agl_core.events import SpanRecorded
from agl_core.recorder import Scope, current
from agl_core.store import from_otel

__all__ = ["Processor", "recorded"]


class Processor(SpanProcessor):
    """Keeps every span that ends inside an attempt. Never raises into the host's code."""

    def on_end(self, span: ReadableSpan) -> None:
        """Called by OpenTelemetry, in the context the span ends in."""
        try:
            scope = current("a span")
        except OutsideAttempt:
            return
        scope.expect(scope.recorder.record(recorded(span, scope), scope))


def recorded(span: ReadableSpan, scope: Scope) -> SpanRecorded:
    """The fact that a span stands for, its attributes as they came."""
    return from_otel(span, rollout_id=scope.rollout_id, attempt_id=scope.attempt_id, agent=scope.agent)
