"""What each call earned, and what becomes of a call that earned nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

import pytest
from agl_triplets import Triplets

from agl_core.adapter import Adapted, Credit, Dropped, Term, Unmatched
from agl_core.errors import BadValue


@dataclass(frozen=True)
class Listed:
    """A credit adapter that has what it is told: numbers for calls, and reasons for others."""

    credits: dict = field(default_factory=dict)
    reasons: dict = field(default_factory=dict)
    unmatched: tuple = ()
    name = "listed"

    def __call__(self, traces):
        """Of every call of `traces` that it knows."""
        calls = [call for trace in traces for call in trace.calls]
        rows = [self._credit(call, self.credits[call.call_id]) for call in calls if call.call_id in self.credits]
        dropped = [
            Dropped(call_id=call.call_id, rollout_id=call.rollout_id, reason=self.reasons[call.call_id])
            for call in calls
            if call.call_id in self.reasons
        ]
        return Adapted(rows=rows, dropped=dropped, kept=len(rows), unmatched=self.unmatched)

    def _credit(self, call, values):
        terms = tuple(
            Term(reward_id="ev-0", rollout_id=call.rollout_id, name="n", judge="j", value=value, weight=1.0, why="all")
            for value in values
        )
        return Credit(call_id=call.call_id, rollout_id=call.rollout_id, rule="listed", terms=terms)


def rows(trace, *calls, credit=None, level="trajectory", **facts):
    """Rows of one rollout with these calls."""
    return Triplets(level, min_group=1, credit=credit)([trace("ro-1", *calls, **facts)]).rows


def test_without_a_rule_every_call_earns_the_final_reward(call, trace):
    """As the field has it: the same number for all, and the row says so a call."""
    (row,) = rows(trace, call("a", [1], [2]), call("b", [1, 2, 3], [4, 5]), reward=0.75)

    assert row.credits == (0.75, 0.75)
    assert row.reward == 0.75


def test_a_credit_is_of_its_call(call, trace):
    """In a merged row one number a call, the sum of its terms; the reward stays what the rollout got."""
    credit = Listed({"a": [0.5, 0.25], "b": [-1.0]})

    (row,) = rows(trace, call("a", [1], [2]), call("b", [1, 2, 3], [4, 5]), credit=credit, reward=0.75)

    assert row.credits == (0.75, -1.0)
    assert row.reward == 0.75


@pytest.mark.parametrize("level", ["trajectory", "transition"])
def test_the_credit_of_a_call_is_that_of_each_of_its_answers(call, trace, level):
    """Best-of-n: nobody said which of the n earned it."""
    found = rows(trace, call("a", [1], [2], [3]), credit=Listed({"a": [0.5]}), level=level)

    assert [row.credits for row in found] == [(0.5,), (0.5,)]


def test_a_call_without_credit_is_dropped_for_the_rules_own_reason(call, trace):
    """And where the rule has none to give, for that."""
    calls = call("a", [1], [2]), call("b", [1, 2, 3], [4]), call("c", [9], [8])
    credit = Listed({"a": [1.0]}, {"b": "not_reached"})

    adapted = Triplets(min_group=1, credit=credit)([trace("ro-1", *calls)])

    assert [row.call_ids for row in adapted.rows] == [("a",)]
    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("b", "not_reached"), ("c", "no_credit")]
    assert adapted.captured == 3


def test_a_rollout_without_a_final_reward_trains_on_the_credit_of_its_calls(call, trace):
    """Its row says that it has no reward: none was made up. It is a member of its group like any other."""
    batch = [trace(f"ro-{n}", call(f"c{n}", [1], [2]), reward=None) for n in range(2)]

    adapted = Triplets(credit=Listed({"c0": [0.5], "c1": [0.25]}))(batch)

    assert [(row.reward, row.credits) for row in adapted.rows] == [(None, (0.5,)), (None, (0.25,))]


def test_rewards_that_reach_no_call_are_passed_on(call, trace):
    """Whoever forms the batch counts them."""
    lost = Unmatched(reward_id="ev-9", rollout_id="ro-1", reason="unknown_target")

    adapted = Triplets(min_group=1, credit=Listed({"a": [1.0]}, unmatched=(lost,)))(
        [trace("ro-1", call("a", [1], [2]))]
    )

    assert list(adapted.unmatched) == [lost]


def test_credit_is_told_of_the_whole_batch(call, trace):
    """Calls of other agents too: a baseline is over rollouts, whoever of them is trained."""
    seen = []

    class Watching(Listed):
        def __call__(self, traces):
            seen.extend(call.agent for trace in traces for call in trace.calls)
            return super().__call__(traces)

    calls = call("a", [1], [2], agent="writer"), call("b", [1], [2], agent="critic")
    Triplets(agent="writer", min_group=1, credit=Watching({"a": [1.0], "b": [1.0]}))([trace("ro-1", *calls)])

    assert seen == ["writer", "critic"]


def test_a_credit_that_is_no_adapter_is_refused():
    """A mapping without a name, for one: nothing could be made of it."""
    with pytest.raises(BadValue, match="credit"):
        Triplets(credit=MappingProxyType({"rule": "final"}))


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 1e-17, -0.123456789012345678])
def test_rewards_stay_as_exact_as_they_were_given(call, trace, value):
    """Sixty-four bits, not sixteen: 0.1 + 0.2 is not 0.3, and neither is 0.30078125."""
    (row,) = rows(trace, call("a", [1], [2]), reward=value)

    assert row.reward.hex() == value.hex()
    assert row.credits[0].hex() == value.hex()
