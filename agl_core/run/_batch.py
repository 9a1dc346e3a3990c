"""A batch in the making: what may be learnt from, what becomes of it, and the event that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agl_core.adapter import Adapted, Adapter, Trace
from agl_core.errors import BadValue, CaptureNone, RewardMissing, SelectsNothing
from agl_core.events import BatchFormed
from agl_core.ids import new_id
from agl_core.run._failures import Failures, treated
from agl_core.run._selection import Selection, policy_calls

__all__ = ["adapted", "formed", "refuse_empty"]

_ALL, _USUAL = Selection(), Failures()


def adapted(
    traces: Sequence[Trace], adapter: Adapter[Any], *, selection: Selection = _ALL, failures: Failures = _USUAL
) -> Adapted[Any]:
    """The batch that a run makes of those traces: as its failure policy has them, and of the calls that it selects.

    Pure; the others are dropped before the adapter looks. Raises `BadValue` when it loses one without a reason.
    """
    selected, others = selection.parted(treated(traces, failures))
    made = adapter(selected)
    if made.captured != (asked := policy_calls(selected).total()):
        why = f"of {asked} policy call(s) it kept {made.kept} and dropped {len(made.dropped)}: each is one or the other"
        raise BadValue("adapter", adapter.name, why=why)
    return replace(made, dropped=(*others, *made.dropped))


def refuse_empty(
    traces: Sequence[Trace],
    adapted: Adapted[Any],
    *,
    selection: Selection,
    failures: Failures,
    ever_selected: Callable[[], bool],
) -> None:
    """Raise for what a batch must not be silent about.

    `RewardMissing`, `CaptureNone`, and `SelectsNothing` unless `ever_selected` knows of a call that was.
    """
    fine = [trace for trace in treated(traces, failures) if trace.mask is None]
    unscored = [trace.rollout_id for trace in fine if trace.reward is None]
    if unscored and failures.of_unscored == "fail":
        raise RewardMissing(len(unscored), example=unscored[0])
    if fine and not adapted.captured:
        raise CaptureNone(len(fine), example=fine[0].rollout_id)
    _, left_out = selection.parted(traces)
    if left_out and len(left_out) == adapted.captured and not ever_selected():
        there = Selection().counted(policy_calls(traces))[0]
        raise SelectsNothing(str(selection), of=there.of, agents=there.told)


def formed(
    run_id: str,
    name: str,
    traces: Sequence[Trace],
    adapted: Adapted[Any],
    *,
    failures: Failures,
    digest: str,
    options: Mapping[str, Any] | None,
    as_of: int | None,
) -> BatchFormed:
    """The batch, as the log keeps it."""
    seen = treated(traces, failures)
    return BatchFormed(
        run_id=run_id,
        batch_id=new_id("ba"),
        adapter=name,
        rollouts=tuple(trace.rollout_id for trace in seen),
        captured=policy_calls(traces).total(),
        kept=adapted.kept,
        rows=len(adapted.rows),
        dropped=dict(Counter(dropped.reason for dropped in adapted.dropped)),
        masked=dict(Counter(trace.mask for trace in seen if trace.mask is not None)),
        digest=digest,
        options=options,
        as_of=as_of,
        failures=dict(failures.said),
        zeroed=dict(Counter(failures.zeroed(seen))),
        unmatched=dict(Counter(unmatched.reason for unmatched in adapted.unmatched)),
    )
