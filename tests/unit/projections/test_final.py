"""The final reward of a name: the last one for the rollout itself, by the one definition that all who ask share."""

import pytest

from agl_core.adapter import Trace, TraceReward
from agl_core.events import RewardGiven, Target
from agl_core.spans.rewards import called

ROLLOUT = Target(kind="rollout", id="ro-1")


def given(name, value, *, target=ROLLOUT, **facts):
    """A reward of the agent's own."""
    return RewardGiven(rollout_id="ro-1", target=target, value=value, name=name, judge="agent", **facts)


def trace(*rewards):
    """A finished trace with those, in the order they were given."""
    counted = tuple(TraceReward(id=f"ev-{place}", given=reward) for place, reward in enumerate(rewards))
    return Trace(rollout_id="ro-1", attempt_id="at-1", task_id="ta-1", status="succeeded", rewards=counted)


def test_the_last_of_a_name_is_final():
    """A later reward takes the place of an earlier one."""
    seen = trace(given("style", 0.25), given("primary", 1.0), given("style", 0.75))

    assert seen.final("style").id == "ev-2"
    assert (seen.earned("style"), seen.reward) == (0.75, 1.0)


def test_the_first_of_several_has_its_own_name_too():
    """Of `{"style": 0.5, "facts": 1.0}` the first is `primary`, and is found as `style`."""
    seen = trace(given("primary", 0.5, evidence=called("style")), given("facts", 1.0))

    assert (seen.earned("style"), seen.earned("primary"), seen.earned("facts")) == (0.5, 0.5, 1.0)


@pytest.mark.parametrize("kind", ["call", "span", "agent"])
def test_what_is_for_a_part_is_no_final_reward(kind):
    """Neither a call, nor a span, nor an agent is the rollout."""
    seen = trace(given("primary", 1.0, target=Target(kind=kind, id="one")))

    assert seen.final("primary") is None


def test_none_is_no_zero():
    """Nobody gave one, and that is not the number nought."""
    assert trace(given("primary", 1.0)).earned("style") is None
