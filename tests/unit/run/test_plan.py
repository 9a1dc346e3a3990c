"""What a run will do, said ahead: each line, and what they come to."""

from __future__ import annotations

import pytest

from agl_core.algorithm import Baseline, algo, plan_of
from agl_core.errors import BadValue
from agl_core.run import Budget, Plan, Planned


def test_a_plan_adds_up():
    """Of what depends on chance, the least and the most that it comes to."""
    plan = Plan(
        lines=(
            Planned.exactly("base prompt on val", rollouts=8),
            Planned(what="round 1", rollouts=(4, 16), questions=(2, 4)),
        )
    )

    assert plan.rollouts == (12, 24)
    assert plan.questions == (2, 4)
    assert plan.calls() == (14, 28)
    assert plan.calls(per_rollout=3) == (38, 76)
    assert plan.to_json(3)["calls"] == [38, 76]


@pytest.mark.parametrize("given", [(2, 1), (-1, 1)])
def test_a_range_that_is_none_is_refused(given):
    """An algorithm that plans less than nothing has a mistake in it."""
    with pytest.raises(BadValue):
        Planned(what="round", rollouts=given)


def test_the_baseline_says_what_it_will_do():
    """Each task of both splits, as often as it was told; the sealed split is not its business."""
    plan = plan_of(Baseline(n_epochs=2), {"train": 3, "val": 1, "test": 5}, Budget())

    assert plan is not None
    assert [(line.what, line.rollouts) for line in plan.lines] == [("train", (6, 6)), ("val", (2, 2))]
    assert plan.too_small is None


def test_an_algorithm_need_not_plan():
    """Then nobody claims to know."""

    @algo
    async def plain(run):
        pass

    assert plan_of(plain, {"train": 3}, Budget()) is None
