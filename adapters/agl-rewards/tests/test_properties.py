"""What holds for every trace, every rule, and whatever rewards were given for."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import fsum

import pytest
from agl_rewards import Rewards
from hypothesis import given
from hypothesis import strategies as st

values = st.floats(-1e6, 1e6, allow_nan=False)
names = st.sampled_from(["primary", "primary", "style"])
agents = st.sampled_from([None, "writer", "critic"])
faults = st.sampled_from([{}, {}, {}, {}, {"status": "error"}, {"role": "judge"}])
exits = st.sampled_from(
    [
        {},
        {},
        {},
        {"status": "cancelled"},
        {"status": "failed", "exit_status": "worker_lost"},
        {"status": "failed", "exit_status": "timeout"},
        {"status": "failed", "exit_status": "timeout", "treated": "zero"},
    ]
)
mixes = st.sampled_from(["primary", "style", {"primary": 0.7, "style": 0.3}])
rules = st.one_of(
    st.builds(Rewards, st.sampled_from(["final", "sum"]), reward=mixes, agent=agents),
    st.builds(
        Rewards, st.sampled_from(["per_call", "per_agent"]), reward=mixes, otherwise=st.sampled_from(["drop", "final"])
    ),
    st.builds(Rewards, st.just("discounted"), reward=mixes, gamma=st.floats(0, 1)),
    st.builds(
        Rewards,
        st.just("group_relative"),
        reward=mixes,
        of=st.sampled_from(["final", "sum", "per_agent"]),
        normalise_std=st.booleans(),
    ),
    st.builds(
        Rewards,
        st.just("group_relative"),
        reward=mixes,
        of=st.sampled_from(["final", "per_agent"]),
        advantage=st.sampled_from(["dr_grpo", "rloo", "reinforce++", "reinforce++_baseline"]),
    ),
)


@pytest.fixture(scope="session")
def batches(call, span, reward, trace):
    """Rollouts of two tasks in one group, with rewards for what they have, and for what they have not."""

    @st.composite
    def rollouts(draw, index):
        id_ = f"ro-{index}"
        calls = [
            call(f"{id_}.{number}", rollout_id=id_, agent=draw(agents), started_at=10 * number, **draw(faults))
            for number in range(draw(st.integers(0, 4)))
        ]
        spans = [span("sp-0", 5, 25, rollout_id=id_), span("sp-1", 8, 12, rollout_id=id_, parent_id="sp-0")]
        places = [f"call {id_}.0", f"call {id_}.1", "call ca-9", "span sp-0", "span sp-1", "span sp-9"]
        target = st.sampled_from([None, None, None, *places, "agent writer", "agent nobody"])
        rewards = st.lists(st.builds(reward, values, of=target, name=names, rollout_id=st.just(id_)), max_size=6)
        task_id = draw(st.sampled_from(["ta-1", "ta-2"]))
        return trace(*calls, rewards=draw(rewards), spans=spans, rollout_id=id_, task_id=task_id, **draw(exits))

    @st.composite
    def drawn(draw):
        return [draw(rollouts(index)) for index in range(draw(st.integers(0, 5)))]

    return drawn()


@given(data=st.data(), rewards=rules)
def test_every_policy_call_has_one_credit_or_one_reason(batches, data, rewards):
    """The conservation law: none is lost, none counted twice."""
    batch = data.draw(batches)

    adapted = rewards(batch)

    policy = Counter(one.call_id for trace in batch for one in trace.calls if one.role == "policy")
    assert Counter(one.call_id for one in (*adapted.rows, *adapted.dropped)) == policy
    assert (adapted.captured, adapted.kept) == (policy.total(), len(adapted.rows))


@given(data=st.data(), rewards=rules)
def test_a_credit_is_the_sum_of_facts(batches, data, rewards):
    """Each term is a reward of the log as it was given, a zero that the run put, or what another call earned.

    They add up, in any order.
    """
    batch = data.draw(batches)

    adapted = rewards(batch)

    facts = {one.id: (trace.rollout_id, one.given) for trace in batch for one in trace.rewards}
    earned = {credit.call_id: credit for credit in adapted.rows}
    for credit in adapted.rows:
        assert credit.value == fsum(term.weight * term.value for term in reversed(credit.terms))
        for term in credit.terms:
            if term.call_id is not None:
                assert (term.reward_id, term.rollout_id) == (None, earned[term.call_id].rollout_id)
                assert term.value == earned[term.call_id].value
            elif term.reward_id is None:
                assert term.value == 0
            else:
                rollout_id, one = facts[term.reward_id]
                assert (term.rollout_id, term.value, term.judge) == (rollout_id, one.value, one.judge)


@given(data=st.data(), rewards=rules)
def test_the_order_of_siblings_changes_nothing(batches, data, rewards):
    """Credits are the same, to the last bit, however a batch is shuffled."""
    batch = data.draw(batches)
    shuffled = data.draw(st.permutations(batch))

    adapted = rewards(batch)

    again = {one.call_id: one.value for one in rewards(shuffled).rows}
    assert again == {one.call_id: one.value for one in adapted.rows}
    assert Counter(rewards(shuffled).dropped) == Counter(adapted.dropped)


@given(data=st.data(), rewards=rules)
def test_a_reward_that_counts_reaches_a_call_or_is_told(batches, data, rewards):
    """What is unmatched is a reward of the batch, once, and in no credit."""
    batch = data.draw(batches)

    adapted = rewards(batch)

    unmatched = Counter(one.reward_id for one in adapted.unmatched)
    in_credits = {term.reward_id for credit in adapted.rows for term in credit.terms}
    assert unmatched.keys() <= {one.id for trace in batch for one in trace.rewards}
    assert not in_credits & unmatched.keys()
    if isinstance(rewards.reward, str):
        assert set(unmatched.values()) <= {1}


@given(data=st.data(), of=st.sampled_from(["final", "sum"]), normalise_std=st.booleans())
def test_credits_of_a_group_balance(batches, data, of, normalise_std):
    """What one has more, the others have less."""
    batch = data.draw(batches)
    rewards = Rewards("group_relative", of=of, normalise_std=normalise_std)

    adapted = rewards([trace for trace in batch if any(_earns(call) for call in trace.calls)])

    by_rollout = {credit.rollout_id: credit.value for credit in adapted.rows}
    tasks = {trace.rollout_id: trace.task_id for trace in batch}
    by_task = defaultdict(list)
    for rollout_id, value in by_rollout.items():
        by_task[tasks[rollout_id]].append(value)
    for credited in by_task.values():
        assert fsum(credited) == pytest.approx(0, abs=1e-8 * max(1, *map(abs, credited)))


@given(data=st.data())
def test_without_discount_a_return_is_all_that_comes(batches, data):
    """With gamma = 1, each call of a lone agent has the sum of what arrives at it and after."""
    batch = data.draw(batches)

    adapted = Rewards("discounted")(batch)

    traces = {trace.rollout_id: trace for trace in batch}
    for credit in adapted.rows:
        trace = traces[credit.rollout_id]
        if trace.treated == "zero" or len({call.agent for call in trace.calls if _earns(call)}) > 1:
            continue
        calls = [call.call_id for call in trace.calls if _earns(call)]
        later = set(calls[calls.index(credit.call_id) :])
        arriving = {target: value for target, value, last in _last(trace, calls) if last in later}
        assert credit.value == pytest.approx(fsum(arriving.values()), rel=1e-9, abs=1e-6)


def _earns(call):
    return call.role == "policy" and call.status == "ok"


def _last(trace, calls):
    """For each target of a primary reward that reaches a call: its last value, and the last of the calls it reaches."""
    inside = {"sp-0": (10, 20), "sp-1": (10,)}
    started = {call.call_id: call.started_at for call in trace.calls}
    last = {}
    for one in trace.rewards:
        if one.given.name == "primary":
            last[one.given.target] = one.given.value
    for target, value in last.items():
        reached = {
            "rollout": calls,
            "call": [id_ for id_ in calls if id_ == target.id],
            "agent": [call.call_id for call in trace.calls if call.call_id in calls and call.agent == target.id],
            "span": [id_ for id_ in calls if started[id_] in inside.get(target.id, ())],
        }[target.kind]
        if reached:
            yield target, value, reached[-1]
