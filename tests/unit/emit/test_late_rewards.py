"""Rewards that come days later, are corrected, or are taken back."""

import asyncio
import json

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as program
from agl_core.errors import BadValue, UnknownId


def now(work):
    """What comes of it."""
    return asyncio.run(work)


@agl.rollout
def agent(task):
    """Scores itself."""
    return 0.25


def test_a_late_reward_is_the_one_that_counts(store, step, reward, spans):
    """Also when the rollout has ended; the agent's own stays, and is in its spans."""
    rollout = step(agent)

    record = now(store.add_reward(rollout.rollout_id, 0.75, judge="user", evidence={"ticket": 7}))

    assert reward(rollout) == 0.75
    assert record.event.evidence == {"ticket": 7}
    assert agl.find_final_reward(spans(rollout)) == 0.25


def test_a_withdrawn_reward_counts_no_more(store, step, reward, given):
    """The one before it does again."""
    rollout = step(agent)
    late = now(store.add_reward(rollout.rollout_id, 0.75, judge="user"))

    kept = now(store.withdraw_reward(rollout.rollout_id, late.id, "it was about another answer"))

    assert kept.event.why == "it was about another answer"
    assert reward(rollout) == 0.25
    assert given(rollout) == [("primary", 0.25)]


def test_an_agent_s_own_reward_can_be_withdrawn(store, step, reward):
    """Then there is none, and none is filled in."""
    rollout = step(agent)
    (own,) = store.ask.traces([rollout.rollout_id])[0].rewards

    now(store.withdraw_reward(rollout.rollout_id, own.id, "the agent is too kind to itself"))

    assert reward(rollout) is None


def test_a_reward_is_withdrawn_once(store, step):
    """The second time says nothing new."""
    rollout = step(agent)
    late = now(store.add_reward(rollout.rollout_id, 0.75))
    now(store.withdraw_reward(rollout.rollout_id, late.id, "wrong"))
    head = store.log.head()

    again = now(store.withdraw_reward(rollout.rollout_id, late.id, "wrong, I say"))

    assert again is None
    assert store.log.head() == head


def test_only_a_reward_of_the_rollout_can_be_withdrawn(store, step):
    """Nothing is written for any other."""
    rollout, other = step(agent), step(agent)
    late = now(store.add_reward(other.rollout_id, 0.75))
    head = store.log.head()

    for rollout_id, reward_id in ((rollout.rollout_id, late.id), (rollout.rollout_id, "x"), ("ro-none", late.id)):
        with pytest.raises(UnknownId):
            now(store.withdraw_reward(rollout_id, reward_id, "wrong"))
    with pytest.raises(BadValue):
        now(store.add_reward(rollout.rollout_id, float("nan")))

    assert store.log.head() == head


def test_the_command_line_shows_both(tmp_path):
    """What counts, and what does not with the reason."""
    path = str(tmp_path / "log.db")
    agl.Trainer(store=path).fit(agent, train_dataset=[{"n": 1}])
    with agl.open_log(path) as log:
        store = agl.Store(log)
        rollout_id = store.ask.rollouts()[0].rollout_id
        late = now(store.add_reward(rollout_id, 0.75, judge="user"))
        now(store.add_reward(rollout_id, 0.5, judge="auditor"))
        now(store.withdraw_reward(rollout_id, late.id, "it was about another answer"))
        store.close()

    shown = CliRunner().invoke(program, ["rollouts", "show", rollout_id, "--log", path]).stdout
    told = json.loads(CliRunner().invoke(program, ["rollouts", "show", rollout_id, "--log", path, "--json"]).stdout)

    assert "auditor" in shown
    assert "it was about another answer" in shown
    assert [(one["judge"], one["value"]) for one in told["rewards"]] == [("agent", 0.25), ("auditor", 0.5)]
    assert [(one["judge"], one["why"]) for one in told["withdrawn"]] == [("user", "it was about another answer")]
    assert told["reward"] == 0.5
