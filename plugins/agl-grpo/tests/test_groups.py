"""Who is compared with whom, and which tasks come when."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from itertools import islice

import pytest
from agl_grpo._groups import groups, hands, round_of, spread
from hypothesis import given
from hypothesis import strategies as st

from agl_core.store import Outcome


def outcome(rollout_id, task_id, reward, *, status="succeeded", exit_status="completed"):
    """What came of one rollout."""
    return Outcome(
        rollout_id=rollout_id,
        task_id=task_id,
        task=None,
        repeat=0,
        status=status,
        exit_status=exit_status,
        reward=reward,
    )


def test_what_the_policy_did_not_cause_is_in_no_baseline():
    """Masked members leave the mean; those without calls or rows stay in it."""
    grouped = groups(
        [
            outcome("a", "ta-1", 1.0),
            outcome("b", "ta-1", 0.0, status="failed", exit_status="timeout"),
            outcome("c", "ta-1", 0.0, status="failed", exit_status="worker_lost"),
            outcome("d", "ta-1", 0.0, status="cancelled", exit_status=None),
            outcome("e", "ta-1", None, status="failed", exit_status="agent_raised"),
        ]
    )

    assert grouped == [{"a": 1.0, "b": 0.0}]


def test_a_group_of_one_is_none():
    """It has nobody to be compared with."""
    assert groups([outcome("a", "ta-1", 1.0), outcome("b", "ta-2", 1.0)]) == []


def test_where_the_batch_is_the_measure_one_alone_is_a_group():
    """As REINFORCE++ has it."""
    assert groups([outcome("a", "ta-1", 1.0)], at_least=1) == [{"a": 1.0}]


@dataclass(frozen=True)
class Row:
    """What is looked at."""

    rollout_id: str
    logprobs: tuple
    credits: tuple


GROUPS = [{"a": 1.0, "b": 0.0}, {"c": 0.5, "d": 0.5}]
ROWS = [
    Row("a", (-1.0, -1.0), (0.5,)),
    Row("a", (-1.0,), (0.5,)),
    Row("b", (-1.0,), (-0.5,)),
    Row("c", (-1.0, -1.0), (0.0,)),
]


def test_all_that_count_divide_the_loss():
    """With rows or without, and with what each sampled; one whose calls alone were scored has a row, and counts."""
    called = Row("e", (-1.0,), (0.25,))

    learnt = round_of(GROUPS, [*ROWS, called])

    assert learnt.rollouts == {"a": 3, "b": 1, "c": 2, "d": 0, "e": 1}
    assert (learnt.rows, learnt.left_out) == ([*ROWS, called], 0)


def test_groups_that_say_nothing_can_be_left_out():
    """From the rows, and from what divides them: the step is as long as if they had not been drawn."""
    learnt = round_of(GROUPS, ROWS, leave_out_silent=True)

    assert learnt.rollouts == {"a": 3, "b": 1}
    assert (learnt.rows, learnt.left_out) == (ROWS[:3], 1)


def test_the_spread_of_a_round():
    """Each figure by hand."""
    grouped = [{str(n): n / 10 for n in range(11)}, {"x": 1.0, "y": 1.0}]

    found = spread(grouped)

    assert found["reward/n"] == 13
    assert found["reward/mean"] == pytest.approx(7.5 / 13)
    assert (found["reward/p10"], found["reward/p90"]) == pytest.approx((0.12, 1.0))
    assert (found["group/size"], found["group/zero_variance"]) == (6.5, 0.5)
    assert spread([]) == {"reward/n": 0}


@given(size=st.integers(1, 7), count=st.integers(1, 12), rounds=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_task_comes_once_before_any_comes_again(size, count, rounds, seed):
    """Without replacement within an epoch, across the hands; and no hand has a task twice."""
    drawn = list(islice(hands(range(count), size, random.Random(seed)), rounds))

    times = Counter(task for hand in drawn for task in hand)
    assert {len(hand) for hand in drawn} == {min(size, count)}
    assert all(len(set(hand)) == len(hand) for hand in drawn)
    assert max(times.values()) - min(times[task] for task in range(count)) <= 1


def test_the_same_stream_deals_the_same_hands():
    """Which is what makes a resumed run ask for the same rollouts."""
    first, again = (list(islice(hands("abcdefg", 3, random.Random("7")), 9)) for _ in range(2))

    assert first == again
