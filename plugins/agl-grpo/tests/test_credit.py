"""What GRPO trains on by default: the group's advantages, out of the log, a rollout at a time."""

from __future__ import annotations

from math import fsum
from statistics import fmean, stdev

import pytest
from agl_grpo import GrpoConfig
from hypothesis import given
from hypothesis import strategies as st

from agl_core.adapter import Trace, TraceReward
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, Target
from agl_core.plugins import Plugins

for adapter in ("agl_rewards", "agl_triplets"):
    pytest.importorskip(adapter, reason="another distribution assigns credit, and another makes rows")

EPSILON = 1e-6


@pytest.fixture(scope="session")
def rows_of():
    """The rows of a round, as a run forms them: from what each rollout earned, and how many calls it made."""
    plugins = Plugins.load()

    def adapt(rollouts, *, rows=None, ends=None, **config):
        options = dict(GrpoConfig(**config).crediting)
        credit = plugins.adapter(options.pop("name"))(**options)
        traces = [
            _trace(f"ro-{n}", calls=calls, reward=reward, **(ends or {}).get(n, {}))
            for n, (calls, reward) in enumerate(rollouts)
        ]
        return plugins.adapter("triplets")(credit=credit, **(rows or {}))(traces).rows

    return adapt


def _trace(rollout_id, *, calls, reward, status="succeeded", exit_status="completed"):
    target = Target(kind="rollout", id=rollout_id)
    given = RewardGiven(rollout_id=rollout_id, target=target, value=reward, judge="agent")
    return Trace(
        rollout_id=rollout_id,
        attempt_id=f"at-{rollout_id}",
        task_id="ta-1",
        status=status,
        exit_status=exit_status,
        calls=tuple(_call(rollout_id, place) for place in range(calls)),
        rewards=(TraceReward(id=f"ev-{rollout_id}", given=given),),
    )


def _call(rollout_id, place):
    said = Choice(message=Message(role="assistant", content="said"), token_ids=(7,), logprobs=(-1.0,))
    call = ModelCall(model="policy", prompt_token_ids=(place, *[1] * (place + 1)), choices=(said,), provenance="engine")
    return CallRecorded(
        call_id=f"{rollout_id}/{place}",
        rollout_id=rollout_id,
        attempt_id=f"at-{rollout_id}",
        call=call,
        started_at=place,
        latency=0.1,
    )


@given(
    rewards=st.lists(st.floats(-10, 10), min_size=2, max_size=8),
    normalise_std=st.booleans(),
)
def test_an_advantage_is_the_distance_from_the_groups_mean_in_standard_deviations(rows_of, rewards, normalise_std):
    """(r - mean) / (std + 1e-6), to twelve digits of what is added up: the sum that can be explained is made of other
    terms than the fraction, and so is rounded otherwise. It is 0 where the group agrees, exactly."""  # noqa: D205, D209 - one paragraph
    scale = (stdev(rewards) + EPSILON) if normalise_std else 1.0

    found = {row.rollout_id: row.credits for row in rows_of([(1, one) for one in rewards], normalise_std=normalise_std)}

    mean, most = fmean(rewards), max(map(abs, rewards)) / scale
    for place, reward in enumerate(rewards):
        assert found[f"ro-{place}"] == (pytest.approx((reward - mean) / scale, rel=1e-12, abs=1e-12 * most),)
    if len(set(rewards)) == 1:
        assert set(found.values()) == {(0.0,)}


def test_a_baseline_is_over_rollouts_and_not_over_rows(rows_of):
    """Twenty rows of a rollout move the mean as much as one row of another: here it is 1/2, and not 1/21."""
    rows = rows_of([(20, 0.0), (1, 1.0)], normalise_std=False)

    assert len(rows) == 21
    assert {row.rollout_id: row.credits for row in rows} == {"ro-0": (-0.5,), "ro-1": (0.5,)}


def test_advantages_are_of_the_complete_group_whatever_is_dropped_of_it(rows_of):
    """Rows that are too long leave; what their siblings earned beside them stays what it was."""
    rollouts = [(1, 1.0), (5, 0.0), (1, 0.5)]
    whole = {row.rollout_id: row.credits for row in rows_of(rollouts)}

    short = rows_of(rollouts, rows={"max_length": 3})
    silent = rows_of([(1, 1.0), (0, 0.0), (1, 0.5)])

    assert [(row.rollout_id, row.credits) for row in short] == list(whole.items())  # a row of each, of seven
    assert {row.rollout_id: row.credits for row in silent} == {name: whole[name] for name in ("ro-0", "ro-2")}


def test_what_infrastructure_did_trains_nobody(rows_of):
    """A lost worker's calls make no row, and its zero is in no mean: its siblings are compared with each other."""
    lost = {1: {"status": "failed", "exit_status": "worker_lost"}}

    rows = rows_of([(1, 1.0), (3, 0.0), (1, 0.5)], ends=lost, normalise_std=False)

    assert {row.rollout_id: row.credits for row in rows} == {"ro-0": (0.25,), "ro-2": (-0.25,)}


def test_advantages_of_a_group_add_up_to_nothing(rows_of):
    """As a baseline's should."""
    rows = rows_of([(1, 0.1), (1, 0.7), (1, 0.2)])

    assert fsum(row.credits[0] for row in rows) == pytest.approx(0, abs=1e-12)


def test_another_rule_has_another_number_for_each_call(rows_of):
    """Here a later call is nearer to the reward."""
    credit = {"rule": "discounted", "gamma": 0.5}

    rows = rows_of([(3, 1.0), (1, 0.0)], credit=credit)

    assert [row.credits for row in rows] == [(0.25,), (0.5,), (1.0,), (0.0,)]
