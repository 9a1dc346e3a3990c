"""Rollouts that are good enough reach an adapter; the calls of the others are dropped, each with its reason."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from agl_core.adapter import Adapted, Dropped, Trace, TraceReward
from agl_core.errors import BadValue
from agl_core.events import CallRecorded, ModelCall, RewardGiven, Target
from agl_core.export.rows import Filter
from agl_core.testing import AdapterContract


@dataclass(frozen=True, slots=True)
class Calls:
    """A row for each call that was answered, of rollouts that are not masked."""

    name: ClassVar[str] = "calls"
    reward: str = "primary"

    def __call__(self, traces):
        """Ids of calls."""
        rows, dropped = [], []
        for trace in traces:
            for call in (call for call in trace.calls if call.role == "policy"):
                reason = f"masked:{trace.mask}" if trace.mask else None if call.status == "ok" else "call_failed"
                if reason:
                    dropped.append(Dropped(call_id=call.call_id, rollout_id=trace.rollout_id, reason=reason))
                else:
                    rows.append(call.call_id)
        return Adapted(rows=rows, dropped=dropped, kept=len(rows))


class TestFiltered(AdapterContract):
    """An adapter behind a filter keeps what every adapter promises."""

    @pytest.fixture
    def adapter(self):
        """All of it at once."""
        return Filter(succeeded=True, at_least=0.5, best_of=1).before(Calls())


def trace(name, reward, *, task="t", status="succeeded", exit_status="completed", named="primary"):
    """A rollout of one call."""
    call = CallRecorded(
        call_id=name, rollout_id=name, attempt_id="at", call=ModelCall(model="m"), started_at=0, latency=0.0
    )
    target = Target(kind="rollout", id=name)
    given = RewardGiven(rollout_id=name, target=target, value=reward or 0.0, name=named, judge="j")
    return Trace(
        rollout_id=name, attempt_id="at", task_id=task, status=status, exit_status=exit_status, calls=(call,),
        rewards=() if reward is None else (TraceReward(id=name, given=given),),
    )  # fmt: skip


def filtered(traces, adapter=None, **options):
    """What is left, and why the rest is not."""
    adapted = Filter(**options).before(adapter or Calls())(traces)
    return list(adapted.rows), {one.call_id: one.reason for one in adapted.dropped}


def test_the_best_of_each_task_are_kept():
    """Of equals the earlier; a masked one takes nobody's place."""
    batch = [
        trace("lost", 2.0, exit_status="worker_lost", status="failed"), trace("a", 0.5), trace("b", 1.0),
        trace("c", 1.0), trace("other", 0.0, task="u"), trace("none", None),
    ]  # fmt: skip

    rows, dropped = filtered(batch, best_of=1)

    assert rows == ["b", "other"]
    assert dropped == {"a": "not_best", "c": "not_best", "none": "no_reward", "lost": "masked:worker_lost"}


def test_what_earned_enough_is_kept():
    """At least is at least; by the reward that the adapter goes by."""
    batch = [trace("a", 0.49), trace("b", 0.5), trace("styled", 0.9, named="style")]

    assert filtered(batch, at_least=0.5) == (["b"], {"a": "below_threshold", "styled": "no_reward"})
    assert filtered(batch, Calls(reward="style"), at_least=0.5)[0] == ["styled"]


def test_what_came_to_a_good_end_is_kept():
    """A time-out counts, and is no example."""
    batch = [trace("a", 1.0), trace("late", 1.0, status="failed", exit_status="timeout")]

    assert filtered(batch, succeeded=True) == (["a"], {"late": "not_succeeded"})


def test_nothing_asked_for_is_nothing_done():
    """The adapter itself is used; and what means nothing is refused."""
    adapter = Calls()

    assert Filter().before(adapter) is adapter
    with pytest.raises(BadValue):
        Filter(best_of=0)
