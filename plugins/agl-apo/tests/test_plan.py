"""A plan is honest: what a search really took lies between what it said at least and at most."""

import pytest
from agl_apo import Apo, Pareto

from agl_core.run import Budget

CRITICS = {"gradient_model": "critic", "apply_edit_model": "critic"}
SEARCHES = {
    "a narrow beam": (Apo, {"beam_width": 1, "branch_factor": 2, "beam_rounds": 2, "gradient_batch_size": 1}),
    "a wide beam": (Apo, {"beam_width": 2, "branch_factor": 2, "beam_rounds": 2, "val_batch_size": 4}),
    "several samples": (Apo, {"beam_width": 1, "branch_factor": 1, "beam_rounds": 1, "repeat": 2}),
    "no round": (Apo, {"beam_rounds": 0}),
    "a pool": (Pareto, {"rounds": 2, "parallel": 2}),
    "a pool of one at a time": (Pareto, {"rounds": 3, "parallel": 1, "repeat": 2, "merge": False}),
}
TASKS = {"train": 4, "val": 8, "test": 8}


def stubborn(asked):
    """Criticises, and never edits."""
    return "I will not." if "<criticism>" in asked.messages[0]["content"] else "It is poor."


@pytest.mark.parametrize(
    "search", [name if "wide" not in name else pytest.param(name, marks=pytest.mark.slow) for name in SEARCHES]
)
@pytest.mark.parametrize("critic", ["good", "stubborn"])
def test_what_a_search_takes_is_what_it_said(world, search, critic):
    """Rollouts and questions, with a critic that always finds something, and with one that never does."""
    kind, settings = SEARCHES[search]
    algorithm = kind(**CRITICS, **settings)
    plan = algorithm.plan(TASKS, Budget())

    world.fit(algorithm, **({} if critic == "good" else {"critic": stubborn}))

    ((rollouts,),) = world.rows("select count(*) from rollouts")
    questions = len(world.facts("call.recorded"))
    assert plan.rollouts[0] <= rollouts <= plan.rollouts[1]
    assert plan.questions[0] <= questions <= plan.questions[1]
    assert plan.too_small is None


@pytest.mark.parametrize("search", [Apo, Pareto])
def test_a_budget_that_pays_for_no_search_is_told_with_what_one_takes(search):
    """A try or two at a better prompt are chance."""
    tasks = {"train": 50, "val": 30, "test": 50}

    plans = {calls: search(**CRITICS).plan(tasks, Budget(calls=calls)) for calls in (100, 140, 1000)}

    assert plans[100].too_small.startswith("100 calls pay for the first validation and the examination (130)")
    assert "3 need" in plans[140].too_small
    assert plans[1000].too_small is None
