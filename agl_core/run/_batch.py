"""A batch in the making: what may be learnt from, what becomes of it, and the event that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agl_core.adapter import Adapted, Adapter, Trace
from agl_core.errors import CaptureNone, RewardMissing, SelectsNothing
from agl_core.events import BatchFormed
from agl_core.ids import new_id
from agl_core.run._selection import Selection, policy_calls
from agl_core.store import Outcome

__all__ = ["formed", "rows_of"]


def rows_of(
    outcomes: Sequence[Outcome],
    traces: Callable[[], Sequence[Trace]],
    adapter: Adapter[Any],
    *,
    selection: Selection,
    ever_selected: Callable[[], bool],
) -> Adapted[Any]:
    """What the adapter makes of the calls that are selected; the others are dropped, and no batch is silently empty.

    Raises `RewardMissing`, `CaptureNone`, and `SelectsNothing` unless `ever_selected` knows of a call that was.
    """
    fine = [outcome for outcome in outcomes if outcome.mask is None]
    unscored = [outcome.rollout_id for outcome in fine if outcome.reward is None]
    if unscored:
        raise RewardMissing(len(unscored), example=unscored[0])
    seen = traces()
    selected, others = selection.parted(seen)
    adapted = adapter(selected)
    adapted = replace(adapted, dropped=(*others, *adapted.dropped))
    if fine and not adapted.captured:
        raise CaptureNone(len(fine), example=fine[0].rollout_id)
    if others and len(others) == adapted.captured and not ever_selected():
        there = Selection().counted(policy_calls(seen))[0]
        raise SelectsNothing(str(selection), of=there.of, agents=there.told)
    return adapted


def formed(
    run_id: str,
    name: str,
    outcomes: Sequence[Outcome],
    adapted: Adapted[Any],
    *,
    digest: str,
    options: Mapping[str, Any] | None,
    as_of: int | None,
) -> BatchFormed:
    """The batch, as the log keeps it."""
    masked = Counter(outcome.mask for outcome in outcomes if outcome.mask is not None)
    return BatchFormed(
        run_id=run_id,
        batch_id=new_id("ba"),
        adapter=name,
        rollouts=tuple(outcome.rollout_id for outcome in outcomes),
        captured=adapted.captured,
        kept=adapted.kept,
        rows=len(adapted.rows),
        dropped=dict(Counter(dropped.reason for dropped in adapted.dropped)),
        masked=dict(masked),
        digest=digest,
        options=options,
        as_of=as_of,
        unmatched=dict(Counter(unmatched.reason for unmatched in adapted.unmatched)),
    )
