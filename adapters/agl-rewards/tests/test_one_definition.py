"""`final` is what the store calls a rollout's reward: of the same log, the same number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agl_rewards import Rewards
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agl_core.clock import Still
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    RewardGiven,
    RewardWithdrawn,
    RolloutEnqueued,
    RolloutFinished,
    Target,
)
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import Queries

ENDS = {
    "well": [AttemptFinished(rollout_id="ro-1", attempt_id="at-1", exit_status="completed")],
    "by its lease": [AttemptExpired(rollout_id="ro-1", attempt_id="at-1", exit_status="unresponsive", why="silence")],
}


def given_by(value, *, attempt=None, name="primary", kind="rollout"):
    """A reward that says whose it is."""
    target = Target(kind=kind, id={"rollout": "ro-1", "call": f"ca-{attempt or 'at-1'}"}[kind])
    return RewardGiven(rollout_id="ro-1", attempt_id=attempt, target=target, value=value, name=name, judge="agent")


rewards = st.builds(
    given_by,
    st.integers(0, 9).map(float),
    attempt=st.sampled_from([None, "at-1", "at-2"]),
    name=st.sampled_from(["primary", "primary", "style"]),
    kind=st.sampled_from(["rollout", "rollout", "call"]),
)
withdrawals = st.integers(0, 9)
"""Which of the rewards before it."""
steps = st.lists(rewards | withdrawals, max_size=4)
endings = st.sampled_from(sorted(ENDS))

first, second = given_by(1.0, attempt="at-1"), given_by(2.0, attempt="at-2")
late = given_by(3.0)


@given(one=steps, other=steps, after=steps, first_ends=endings, last_ends=endings)
@example([first], [second], [late], "by its lease", "well")  # late: a judge days after
@example([first], [second], [], "by its lease", "well")  # attempt-bound: what the first said is not the rollout's
@example([first], [second], [late, 0, 2], "by its lease", "well")  # withdrawn: the late one, and the first
@example([first], [second], [second], "by its lease", "by its lease")  # fenced: said after the lease was lost
@example([given_by(1.0, kind="call"), given_by(1.0, name="style")], [], [], "well", "well")  # nobody scored it
@settings(max_examples=20)
def test_the_final_reward_is_the_outcomes(call, one, other, after, first_ends, last_ends):
    """Late, withdrawn, of another attempt, after the lease was lost: whatever was said, in whatever order."""
    with SqliteLog(":memory:", projections=CORE, clock=Still()) as log:
        ids = []
        say(log, RolloutEnqueued(rollout_id="ro-1", input={}, task_id="ta-1"))
        for attempt, said, ends in (("at-1", one, first_ends), ("at-2", other, last_ends)):
            start = AttemptStarted(rollout_id="ro-1", attempt_id=attempt, sequence=1, worker_id="wk-1", token=1)
            say(log, start, replace(call(f"ca-{attempt}"), attempt_id=attempt))
            happen(log, said, ids)
            say(log, *(replace(end, attempt_id=attempt) for end in ENDS[ends]))
        say(log, RolloutFinished(rollout_id="ro-1", status="succeeded", exit_status="completed", attempt_id="at-2"))
        happen(log, after, ids)
        ask = Queries(log)

        outcome = ask.outcomes(["ro-1"], {"ro-1": None})[0].reward
        adapted = Rewards("final")(ask.traces(["ro-1"]))

    assert [credit.value for credit in adapted.rows] == ([] if outcome is None else [outcome])
    assert [dropped.reason for dropped in adapted.dropped] == (["no_reward"] if outcome is None else [])


def test_a_batch_is_of_the_log_as_it_stood(call):
    """A reward that comes after the position is in the next batch, not in this one; so is a withdrawal."""
    with SqliteLog(":memory:", projections=CORE, clock=Still()) as log:
        ids = []
        start = AttemptStarted(rollout_id="ro-1", attempt_id="at-1", sequence=1, worker_id="wk-1", token=1)
        say(log, RolloutEnqueued(rollout_id="ro-1", input={}, task_id="ta-1"), start, call("ca-1"))
        happen(log, [first], ids)
        say(log, *ENDS["well"])
        say(log, RolloutFinished(rollout_id="ro-1", status="succeeded", exit_status="completed", attempt_id="at-1"))
        before = log.head()
        happen(log, [late], ids)
        between = log.head()
        happen(log, [1, 0], ids)
        ask = Queries(log)

        found = [
            [credit.value for credit in Rewards()(ask.traces(["ro-1"], as_of=position)).rows]
            for position in (before, between, None)
        ]

    assert found == [[1.0], [3.0], []]


def say(log, *events):
    """Put them into the rollout's stream."""
    return log.append([Draft(stream="rollout/ro-1", event=event) for event in events])


def happen(log, said, ids):
    """Give the rewards, and withdraw those that are numbered; `ids` are of all that were given."""
    for what in said:
        match what:
            case RewardGiven():
                ids += [record.id for record in say(log, what)]
            case int() if what < len(ids):
                say(log, RewardWithdrawn(rollout_id="ro-1", reward=ids[what], why="by mistake"))


@pytest.mark.parametrize("rule", ["final", "sum", "per_call", "discounted", "per_agent", "group_relative"])
def test_every_rule_can_be_made_again_from_what_a_log_keeps(rule):
    """A batch says its adapter by name and options: they make an equal one."""
    from agl_core.plugins import Plugins
    from agl_core.run._adapters import adapter, options

    plugins = Plugins.load()
    rewards = Rewards(rule, reward={"accuracy": 0.5, "style": 1.5})
    told = options(plugins, rewards)

    assert told is not None
    assert adapter(plugins, "rewards", told) == rewards
