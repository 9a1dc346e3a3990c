"""What the store decides about spans: each once, and each with its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agl_core.errors import BadValue
from agl_core.events import SpanRecorded
from agl_core.log import Owner, View
from agl_core.record import Draft
from agl_core.spans import rewards
from agl_core.store import _decisions as decide

__all__ = ["added", "numbered"]


def added(view: View, spans: Sequence[SpanRecorded], me: Owner) -> list[Draft]:
    """Spans that are new, numbered, each with the rewards it states.

    One is known by its rollout, attempt and span id, whatever else it says.
    """
    standing = {ids: decide.find(view, *ids) for ids in {(span.rollout_id, span.attempt_id) for span in spans}}
    fresh: dict[tuple[str, str, str], SpanRecorded] = {}
    counters: dict[str, int] = {}
    for span in spans:
        ids = (span.rollout_id, span.attempt_id, span.span_id)
        if ids in fresh or view.rows(_KNOWN, ids):
            continue
        last = counters.get(span.rollout_id)
        last = _last(view, span.rollout_id) if last is None else last
        number = last + 1 if span.sequence_id is None else span.sequence_id
        if number < 0:
            raise BadValue("sequence_id", number, why="spans are numbered from 1")
        counters[span.rollout_id] = max(last, number)
        fresh[ids] = replace(span, sequence_id=number)
    for rollout_id, last in counters.items():
        if view.in_flight.get("sequence", rollout_id):
            view.in_flight.put("sequence", rollout_id, owner=me, data={"last": last})
    drafts = []
    for (rollout_id, attempt_id, span_id), span in fresh.items():
        rollout = standing[rollout_id, attempt_id]
        drafts.append(rollout.draft(span, key=f"span/{attempt_id}/{span_id}"))
        drafts += [rollout.draft(reward, key=rewards.key(span, reward)) for reward in rewards.stated(span)]
    return drafts


def numbered(view: View, attempts: Sequence[tuple[str, str]], me: Owner) -> list[int]:
    """The next number of each attempt's rollout. It is not given out again, whatever becomes of it."""
    for ids in set(attempts):
        decide.find(view, *ids)
    counters: dict[str, int] = {}
    numbers = []
    for rollout_id, _ in attempts:
        last = counters.get(rollout_id)
        counters[rollout_id] = 1 + (_last(view, rollout_id) if last is None else last)
        numbers.append(counters[rollout_id])
    for rollout_id, last in counters.items():
        view.in_flight.put("sequence", rollout_id, owner=me, data={"last": last})
    return numbers


_KNOWN = "select 1 from spans where rollout_id = ? and attempt_id = ? and span_id = ?"


def _last(view: View, rollout_id: str) -> int:
    """The highest number that was given out, or used without being asked for."""
    used = view.rows("select coalesce(max(sequence_id), 0) from spans where rollout_id = ?", (rollout_id,))[0][0]
    given = view.in_flight.get("sequence", rollout_id)
    return max(int(used), given.data["last"] if given else 0)
