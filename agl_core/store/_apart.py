"""Spans that came from outside: with their attempts, or apart where nobody can tell whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from agl_core.events import SpanRecorded, SpanUnassigned
from agl_core.log import Owner, View
from agl_core.record import Draft
from agl_core.store._adding import added

__all__ = ["taken_in", "unassigned"]

_SHARED = tuple(one.name for one in fields(SpanUnassigned) if one.name != "why")
_TRACE = "select trace_id from spans where rollout_id = ? and attempt_id = ? and span_id = ?"


def taken_in(view: View, spans: Sequence[SpanRecorded], strays: Sequence[SpanUnassigned], me: Owner) -> list[Draft]:
    """Drafts of the spans and strays that the log does not have.

    An attempt has one span of an id: another trace's of the same id is kept apart, so that nothing is thrown away.
    """
    fresh = added(view, spans, me)
    apart: dict[str, Draft] = {}
    for stray in (*strays, *_namesakes(view, spans, fresh)):
        key = f"span/{stray.trace_id}/{stray.span_id}"
        if key not in apart and not view.rows("select 1 from events where key = ?", (key,)):
            apart[key] = Draft(stream="log", event=stray, key=key)
    return [*fresh, *apart.values()]


def unassigned(span: SpanRecorded, why: str) -> SpanUnassigned:
    """The span as it came, while nobody knows whose it is."""
    return SpanUnassigned(why=why, **{name: getattr(span, name) for name in _SHARED})


def _namesakes(view: View, spans: Sequence[SpanRecorded], fresh: Sequence[Draft]) -> Iterator[SpanUnassigned]:
    taken = {_id(draft.event): draft.event for draft in fresh if isinstance(draft.event, SpanRecorded)}
    for span in spans:
        first = taken.get(_id(span))
        known = first.trace_id if first else view.rows(_TRACE, _id(span))[0][0]
        if known != span.trace_id:
            yield unassigned(span, f"attempt {span.attempt_id} has a span of that id already, in another trace")


def _id(span: SpanRecorded) -> tuple[str, str, str]:
    return span.rollout_id, span.attempt_id, span.span_id
