"""What an agent returned, as the facts it stands for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import isawaitable, iscoroutine
from typing import Any

from agl_core.emit._core_fields import SpanCoreFields, recorded
from agl_core.emit._rewards import rewards_of
from agl_core.errors import BadValue
from agl_core.events import RewardGiven, SpanRecorded
from agl_core.recorder import Scope
from agl_core.spans import from_otel
from agl_core.store import Span

__all__ = ["returned"]

_WHY = "an agent returns None, a number, a dict of rewards, or a list of spans"
_log = logging.getLogger(__name__)


def returned(result: Any, scope: Scope) -> Sequence[RewardGiven | SpanRecorded]:
    """Rewards of a number or a dict, spans of a list; `BadValue` for anything else, and then nothing is kept of it."""
    match result:
        case None:
            return ()
        case Mapping():
            return rewards_of(result, scope)
        case []:
            _log.warning("the agent of %s returned an empty list: no span, and no reward", scope.rollout_id)
            return ()
        case [*spans]:
            return [_span(span, scope) for span in spans]
        case _ if hasattr(result, "__float__"):  # also numbers of NumPy, and a tensor of one
            return rewards_of(result, scope)
    if iscoroutine(result):
        result.close()  # nobody will await it, and Python would say so in a place that helps nobody
    if isawaitable(result):
        raise BadValue("result", result, why=f"{_WHY}; this is to be awaited: write the agent with `async def`")
    raise BadValue("result", result, why=_WHY)


def _span(span: Any, scope: Scope) -> SpanRecorded:
    match span:
        case SpanCoreFields():
            return recorded(span, scope)
        case Span():
            return _own(span.recorded(), scope)
        case SpanRecorded():
            return _own(span, scope)
        case _ if _is_otel(span):
            return from_otel(span, rollout_id=scope.rollout_id, attempt_id=scope.attempt_id, agent=scope.agent)
    raise BadValue("result", span, why=f"{_WHY}, and this one of its list is no span")


def _own(span: SpanRecorded, scope: Scope) -> SpanRecorded:
    """With the ids of the attempt where it has none; one of another attempt is another one's to give."""
    found = replace(
        span, rollout_id=span.rollout_id or scope.rollout_id, attempt_id=span.attempt_id or scope.attempt_id
    )
    if (found.rollout_id, found.attempt_id) != (scope.rollout_id, scope.attempt_id):
        ids = f"{found.rollout_id}, {found.attempt_id}"
        raise BadValue("span", span.name, why=f"it is of another attempt ({ids}): give it to `store.add_span`")
    return found


def _is_otel(span: Any) -> bool:
    """Whether it is a span of OpenTelemetry's SDK; who has one has loaded it."""
    sdk = sys.modules.get("opentelemetry.sdk.trace")
    return sdk is not None and isinstance(span, sdk.ReadableSpan)
