"""Advantages by name: each by the formula of its paper, and the sums that are explained come to the same numbers."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import get_args

import pytest
from agl_rewards import Rewards
from agl_rewards._advantages import ADVANTAGES, Advantage, advantages
from hypothesis import given
from hypothesis import strategies as st

GROUPS = [[0.3, 0.9, 0.31, -2.0], [1.0, 0.0], [0.5, 0.5, 0.5]]
names = st.sampled_from(sorted(ADVANTAGES))
several = st.lists(st.lists(st.floats(-10, 10), min_size=2, max_size=6), min_size=1, max_size=4)


@pytest.fixture(scope="session")
def rounds(call, reward, trace):
    """A rollout for each reward, of as many calls as it is told; groups are tasks, and rollouts are by place."""

    def make(groups, calls=lambda _: 1):
        return [
            trace(
                *(call(f"ca-{task}.{place}.{n}", rollout_id=f"ro-{task}.{place}") for n in range(calls(place))),
                rewards=[reward(value, rollout_id=f"ro-{task}.{place}")],
                rollout_id=f"ro-{task}.{place}",
                task_id=f"ta-{task}",
            )
            for task, group in enumerate(groups)
            for place, value in enumerate(group)
        ]

    return make


def of_rollouts(adapted):
    """By rollout, what each of its calls earned: one number."""
    found = {}
    for credit in adapted.rows:
        assert found.setdefault(credit.rollout_id, credit.value) == credit.value
    return found


def test_every_name_has_a_strategy():
    """What may be asked for is what there is."""
    assert set(get_args(Advantage)) == set(ADVANTAGES)


def test_rloo_leaves_one_out():
    """The baseline of each is the mean of the others, taken one by one."""
    (found,) = advantages("rloo", GROUPS[:1])

    others = [fmean(GROUPS[0][:place] + GROUPS[0][place + 1 :]) for place in range(4)]
    assert found == pytest.approx([one - baseline for one, baseline in zip(GROUPS[0], others, strict=True)], rel=1e-12)


def test_dr_grpo_divides_by_nothing():
    """And GRPO by the group's deviation."""
    group = GROUPS[0]

    assert advantages("dr_grpo", [group]) == [[one - fmean(group) for one in group]]
    assert advantages("grpo", [group]) == [[(one - fmean(group)) / (stdev(group) + 1e-6) for one in group]]


def test_reinforce_plus_plus_is_over_the_batch():
    """Mean and deviation of all rollouts, whatever their task: a group that agrees may be worse than the rest."""
    found = [one for group in advantages("reinforce++", GROUPS) for one in group]

    every = [one for group in GROUPS for one in group]
    assert found == pytest.approx([(one - fmean(every)) / stdev(every) for one in every], rel=1e-6)
    assert found[-1] != 0


def test_with_a_baseline_only_its_deviation_is_over_the_batch():
    """Each group has its own mean; one that agrees earns nothing, and is in the deviation."""
    found = advantages("reinforce++_baseline", GROUPS)

    distances = [[one - fmean(group) for one in group] for group in GROUPS]
    spread = (sum(one**2 for group in distances for one in group) / 8) ** 0.5
    for ours, paper in zip(found, distances, strict=True):
        assert ours == pytest.approx([one / spread for one in paper], rel=1e-6)
    assert found[-1] == [0.0, 0.0, 0.0]


@given(name=names, groups=several)
def test_what_is_explained_is_what_is_computed(rounds, name, groups):
    """The sum of terms and the formula are one number, to the rounding of what is added up."""
    found = of_rollouts(Rewards("group_relative", advantage=name)(rounds(groups)))

    for task, group in enumerate(advantages(name, groups)):
        most = max(abs(one) for every in groups for one in every)
        for place, one in enumerate(group):
            value = found[f"ro-{task}.{place}"]
            assert value == pytest.approx(one, rel=1e-9, abs=1e-12 * most / _smallest_divisor(name, groups))


def _smallest_divisor(name, groups):
    every = [[one for group in groups for one in group]] if ADVANTAGES[name].of_batch else groups
    return min(1.0, *ADVANTAGES[name].divisors(every))


@given(name=names, groups=several)
def test_a_long_rollout_is_one_rollout(rounds, name, groups):
    """As many calls as one likes: no baseline and no deviation is over calls or rows."""
    rewards = Rewards("group_relative", advantage=name)

    assert of_rollouts(rewards(rounds(groups, calls=lambda place: 1 + 7 * (place % 2)))) == of_rollouts(
        rewards(rounds(groups))
    )


@pytest.mark.parametrize("name", sorted(set(ADVANTAGES) - {"reinforce++"}))
def test_a_baseline_of_the_task_takes_what_the_task_is_worth(name):
    """What every try earns more is no try's merit."""
    easier = [[one + 5 * place for one in group] for place, group in enumerate(GROUPS)]

    for ours, shifted in zip(advantages(name, GROUPS), advantages(name, easier), strict=True):
        assert shifted == pytest.approx(ours, rel=1e-9, abs=1e-9)


def test_a_batch_is_of_one_run(call, reward, trace):
    """Runs that are exported together are not compared with each other."""
    batch = [
        trace(call(f"ca-{n}", rollout_id=f"ro-{n}"), rewards=[reward(value)], rollout_id=f"ro-{n}", run_id=run_id)
        for n, (run_id, value) in enumerate([("run-1", 0.0), ("run-1", 1.0), ("run-2", 8.0), ("run-2", 9.0)])
    ]

    found = list(of_rollouts(Rewards("group_relative", advantage="reinforce++")(batch)).values())

    assert found == pytest.approx([-(0.5**0.5), 0.5**0.5] * 2, rel=1e-6)


def test_one_alone_is_compared_with_nobody(rounds):
    """Where a task is the measure its only try is dropped, and moves no deviation; where the batch is, it counts."""
    traces = rounds([[0.0, 1.0], [9.0]])

    by_task = Rewards("group_relative", advantage="reinforce++_baseline")(traces)
    by_batch = Rewards("group_relative", advantage="reinforce++")(traces)

    assert [one.reason for one in by_task.dropped] == ["group_too_small"]
    assert list(of_rollouts(by_task).values()) == advantages("reinforce++_baseline", [[0.0, 1.0]])[0]
    assert by_batch.kept == 3
