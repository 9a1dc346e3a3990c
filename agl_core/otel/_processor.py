"""Spans as they end, in the context they end in."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from agl_core.errors import OutsideAttempt
from agl_core.events import SpanRecorded
from agl_core.recorder import Scope, current
from agl_core.spans import from_otel

__all__ = ["Processor", "recorded"]


class Processor(SpanProcessor):
    """Keeps every span that ends inside an attempt. Never raises into the host's code."""

    def on_end(self, span: ReadableSpan) -> None:
        """Called by OpenTelemetry, in the context the span ends in."""
        try:
            scope = current("a span")
        except OutsideAttempt:
            return
        try:
            scope.expect(scope.recorder.record(recorded(span, scope), scope))
        except Exception as error:  # noqa: BLE001 - the rim: the host works on, whatever becomes of its spans
            scope.lost("agl_core.otel", error, what="a span of a host")


def recorded(span: ReadableSpan, scope: Scope) -> SpanRecorded:
    """The fact that a span stands for, its attributes as they came."""
    return from_otel(span, rollout_id=scope.rollout_id, attempt_id=scope.attempt_id, agent=scope.agent)
