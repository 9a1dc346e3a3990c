"""What becomes of rollouts by how they end: the policy, and what it makes of traces."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from agl_core.adapter import Trace, TraceReward
from agl_core.errors import BadValue
from agl_core.events import ExitStatus, RewardGiven, RolloutConfig, Target, owner
from agl_core.run import Failures, treated
from agl_core.store import Outcome, is_tried_again

ENDS = get_args(ExitStatus)


def trace(exit_status: str | None, *, reward: float | None = None, status: str = "failed") -> Trace:
    """A rollout that ended so."""
    target = Target(kind="rollout", id="ro-1")
    given = RewardGiven(rollout_id="ro-1", target=target, value=reward or 0.0, judge="agent")
    return Trace(
        rollout_id="ro-1",
        attempt_id="at-1",
        task_id="ta-1",
        status=status,
        exit_status=exit_status,
        rewards=() if reward is None else (TraceReward(id="re-1", given=given),),
    )


def outcome(exit_status: str | None, *, reward: float | None = None, status: Any = "failed") -> Outcome:
    """What came of it."""
    return Outcome(
        rollout_id="ro-1", task_id="ta-1", task=None, repeat=0, status=status, exit_status=exit_status, reward=reward
    )


def came(exit_status: str | None, *, reward: float | None = None, status: str = "failed", **said: str) -> Any:
    """Mask and reward of a rollout under that policy; its outcome and its trace agree on both."""
    policy = Failures.of(said)
    (seen,) = treated([trace(exit_status, reward=reward, status=status)], policy)
    told = policy.outcome(outcome(exit_status, reward=reward, status=status))
    assert (seen.mask, seen.reward, seen.treated) == (told.mask, told.reward, told.treated)
    return told.mask, told.reward


@pytest.mark.parametrize("exit_status", ENDS)
@pytest.mark.parametrize("reward", [None, 0.5])
def test_where_nothing_is_said_it_is_as_usual(exit_status, reward):
    """What the policy caused counts with its reward; all else is masked, whatever it earned."""
    (seen,) = treated([trace(exit_status, reward=reward)], Failures())

    assert seen == trace(exit_status, reward=reward)
    assert seen.mask == (None if owner(exit_status) == "policy" else exit_status)


@pytest.mark.parametrize(
    ("exit_status", "reward", "said", "expected"),
    [
        ("tool_failed", 0.5, {"tool_failed": "train"}, (None, 0.5)),
        ("tool_failed", None, {"tool_failed": "train"}, (None, None)),
        ("tool_failed", None, {"environment": "zero"}, (None, 0.0)),
        ("tool_failed", 0.5, {"environment": "zero"}, (None, 0.5)),
        ("timeout", 0.5, {"timeout": "mask"}, ("timeout", 0.5)),
        ("timeout", 0.5, {"timeout": "retry"}, ("timeout", 0.5)),
        ("timeout", 0.5, {"policy": "mask", "timeout": "train"}, (None, 0.5)),
        ("max_turns", 0.5, {"policy": "mask", "timeout": "train"}, ("max_turns", 0.5)),
        ("agent_raised", None, {"framework": "fail"}, ("agent_raised", None)),
        ("completed", None, {"no_reward": "zero"}, (None, 0.0)),
        ("completed", None, {"no_reward": "mask"}, ("no_reward", None)),
        ("completed", None, {"no_reward": "train"}, (None, None)),
        ("completed", None, {"no_reward": "fail"}, (None, None)),
        ("completed", 0.5, {"no_reward": "mask"}, (None, 0.5)),
        ("tool_failed", None, {"no_reward": "zero"}, ("tool_failed", None)),
        ("tool_failed", None, {"no_reward": "zero", "tool_failed": "train"}, (None, 0.0)),
        ("tool_failed", None, {"no_reward": "mask", "tool_failed": "train"}, ("no_reward", None)),
        ("tool_failed", None, {"no_reward": "mask", "tool_failed": "zero"}, (None, 0.0)),
        ("stalled", 0.5, {"infrastructure": "train"}, (None, 0.5)),
        ("stalled", None, {"environment": "zero"}, ("stalled", None)),
    ],
)
def test_an_end_becomes_what_is_said_of_it(exit_status, reward, said, expected):
    """An exit status goes over its owner; a zero is only where nobody gave a reward."""
    assert came(exit_status, reward=reward, **said) == expected


@pytest.mark.parametrize("said", [{"policy": "train"}, {"no_reward": "zero"}, {"infrastructure": "train"}])
def test_what_was_called_off_or_is_not_over_counts_for_nothing(said):
    """No policy says otherwise."""
    assert came(None, status="cancelled", **said) == ("cancelled", None)
    assert came(None, status="running", **said) == ("running", None)


def test_a_zero_is_a_reward_that_no_event_gave():
    """Adapters see it as any other, and can tell that it is none."""
    (seen,) = treated([trace("tool_failed")], Failures.of({"tool_failed": "zero"}))

    (zero,) = seen.rewards
    assert (zero.id, zero.given.judge, zero.given.value) == (None, "failures", 0.0)
    assert (zero.given.name, zero.given.target) == ("primary", Target(kind="rollout", id="ro-1"))
    assert seen.treated == "zero"


def test_zeros_are_counted_by_what_they_are_for():
    """An end that is worth a zero is not an agent that forgot to score itself."""
    policy = Failures.of({"environment": "zero", "no_reward": "zero", "timeout": "train"})
    seen = treated(
        [
            trace("tool_failed"),
            trace("tool_failed", reward=0.1),
            trace("timeout"),
            trace("completed"),
            trace("stalled"),
        ],
        policy,
    )

    assert list(policy.zeroed(seen)) == ["tool_failed", "no_reward", "no_reward"]


# --- what is tried again


@pytest.mark.parametrize("condition", [(), ("timeout",), ("failed", "stalled")])
@pytest.mark.parametrize("said", [{}, {"no_reward": "zero"}])
def test_a_policy_that_says_nothing_of_ends_leaves_retries_as_they_are(said, condition):
    """To the letter."""
    config = RolloutConfig(max_attempts=3, retry_condition=condition)

    assert Failures.of(said).configured(config) is config


def retried(config: RolloutConfig) -> set[str]:
    """The ends after which there is one more attempt."""
    return {end for end in ENDS if is_tried_again([end], config)}


@pytest.mark.parametrize(
    ("said", "condition", "more", "less"),
    [
        ({"timeout": "retry"}, (), {"timeout"}, set()),
        ({"environment": "zero"}, (), set(), {"tool_failed"}),
        ({"framework": "fail", "agent_raised": "retry"}, (), set(), {"capture_lost"}),
        ({"environment": "mask"}, ("timeout",), set(), set()),
        ({"agent_raised": "retry"}, ("timeout",), {"agent_raised"}, set()),
        ({"timeout": "train"}, ("timeout", "failed"), set(), {"timeout"}),
        ({"infrastructure": "mask"}, (), set(), {"unresponsive", "endpoint_down", "stalled"}),
    ],
)
def test_what_is_said_decides_what_is_tried_again_and_the_rest_is_as_configured(said, condition, more, less):
    """A worker's death costs no attempt: it is tried again whatever is said."""
    config = RolloutConfig(max_attempts=3, retry_condition=condition)

    assert retried(Failures.of(said).configured(config)) == (retried(config) | more) - less


def test_with_one_attempt_nothing_is_tried_again_but_a_workers_death():
    """`retry` needs attempts."""
    config = Failures.of({"policy": "mask", "timeout": "retry"}).configured(RolloutConfig(max_attempts=1))

    assert retried(config) == {"worker_lost"}


# --- what is given


def test_a_policy_is_given_as_a_mapping_or_as_itself():
    """And nothing is the usual."""
    policy = Failures.of({"timeout": "mask"})

    assert Failures.of(policy) is policy
    assert policy == Failures.of({"timeout": "mask"})
    assert Failures.of(None) == Failures.of({}) == Failures()
    assert policy
    assert not Failures()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"tool_filed": "mask"}, r"failures = 'tool_filed' is refused: known are completed, .*, framework, no_reward"),
        (
            {"timeout": "skip"},
            r"failures\['timeout'\] = 'skip' is refused: it is one of train, zero, mask, retry, fail",
        ),
        ({"completed": "retry"}, "a success is not tried again"),
        ({"policy": "retry"}, "name the ends that are, such as timeout"),
        ({"no_reward": "retry"}, "no attempt is left"),
        ({"timeout": None}, "it is one of"),
        ({"timeout": ["mask"]}, "it is one of"),
        ("zero", "it is a mapping"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(said, why):
    """With what there is instead."""
    with pytest.raises(BadValue, match=why):
        Failures.of(said)
