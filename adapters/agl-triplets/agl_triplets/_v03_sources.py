"""Spans as v0.3 hands them to its adapters, as the trace that they are of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from agl_core.adapter import Trace, TraceReward
from agl_core.errors import BadValue
from agl_core.events import SpanRecorded
from agl_core.spans import from_otel, rewards

__all__ = ["traces_of"]


def traces_of(source: Iterable[Any]) -> list[Trace]:
    """Traces as they are; spans of the store, of OpenTelemetry or of the log as one trace, with the rewards they state.

    Raises `BadValue` for what is neither.
    """
    given = list(source)
    traces = [one for one in given if isinstance(one, Trace)]
    if traces and len(traces) < len(given):
        raise BadValue("source", "traces and spans", why="it is the one or the other")
    return traces if traces or not given else [_trace([_recorded(one) for one in given])]


def _trace(spans: list[SpanRecorded]) -> Trace:
    return Trace(
        rollout_id=spans[0].rollout_id,
        attempt_id=spans[0].attempt_id,
        task_id="",
        status="succeeded",
        spans=tuple(spans),
        rewards=tuple(
            TraceReward(
                id=rewards.key(span, given)[len(rewards.MADE) :],
                given=given,
                span_id=span.span_id,
                given_at=span.started_at,
            )
            for span in spans
            for given in rewards.stated(span)
        ),
    )


def _recorded(span: Any) -> SpanRecorded:
    if isinstance(span, SpanRecorded):
        return span
    # A span of the store, known by what it can do: an adapter imports no store.
    if callable(recorded := getattr(span, "recorded", None)):
        return cast("SpanRecorded", recorded())
    if hasattr(span, "get_span_context"):
        return from_otel(span, rollout_id="", attempt_id="")
    raise BadValue("source", span, why="it is traces, or spans of the store, of OpenTelemetry or of the log")
