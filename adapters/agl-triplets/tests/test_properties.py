"""What holds for every trace, whatever went wrong in it."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import msgspec
from agl_triplets import Triplets, turns
from hypothesis import given
from hypothesis import strategies as st

from agl_core.testing.strategies import traces

options = {
    "agent": st.sampled_from([None, None, "parent", "sub"]),
    "min_group": st.integers(1, 3),
    "max_length": st.none() | st.integers(4, 30),
    "allow_retokenised": st.booleans(),
    "allow_truncated_sampling": st.booleans(),
}
versions = st.sampled_from([{}, {"current_version": 5}, {"current_version": 5, "max_staleness": 3}])
adapters = st.builds(
    lambda level, versions, **others: Triplets(level, **versions, **others),
    st.sampled_from(["trajectory", "transition"]),
    versions,
    **options,
)


def kept_calls(batch, adapted):
    """Policy calls of `batch` that were not dropped."""
    dropped = {one.call_id for one in adapted.dropped}
    policy = (recorded for trace in batch for recorded in trace.calls if recorded.role == "policy")
    return [recorded for recorded in policy if recorded.call_id not in dropped]


@given(traces(), adapters)
def test_captured_is_kept_plus_dropped(batch, adapt):
    """The conservation law: no call vanishes, none is counted twice."""
    adapted = adapt(batch)

    policy = [recorded.call_id for trace in batch for recorded in trace.calls if recorded.role == "policy"]
    in_rows = {call_id for row in adapted.rows for call_id in row.call_ids}
    assert sorted([*in_rows, *(one.call_id for one in adapted.dropped)]) == sorted(policy)
    assert (adapted.captured, adapted.kept) == (len(policy), len(in_rows))


@given(traces(), adapters)
def test_every_sampled_token_is_trained_on_exactly_once(batch, adapt):
    """Masks, logprobs and counts agree, and together they hold what was sampled, and nothing else."""
    adapted = adapt(batch)

    sampled = Counter()
    for row in adapted.rows:
        assert len(row.mask) == len(row.token_ids) - row.prompt_length
        assert sum(row.mask) == len(row.logprobs) == sum(row.sampled)
        ones = [token for token, bit in zip(row.token_ids[row.prompt_length :], row.mask, strict=True) if bit]
        sampled.update(zip(ones, row.logprobs, strict=True))
    choices = [choice for recorded in kept_calls(batch, adapted) for choice in recorded.call.choices]
    assert sampled == Counter(
        pair for choice in choices for pair in zip(choice.token_ids, choice.logprobs, strict=True)
    )


@given(traces(), adapters)
def test_merging_can_be_undone(batch, adapt):
    """Each call's prompt and answers come back out of the rows, token for token."""
    adapted = adapt(batch)

    found = Counter((turn.call_id, turn.prompt, turn.sampled) for row in adapted.rows for turn in turns(row))
    assert found == Counter(
        (recorded.call_id, recorded.call.prompt_token_ids, choice.token_ids)
        for recorded in kept_calls(batch, adapted)
        for choice in recorded.call.choices
        if choice.token_ids
    )


@given(traces(), adapters)
def test_what_is_said_of_a_call_is_that_calls(batch, adapt):
    """Its credit, version, staleness and provenance stand in the row at its place."""
    by_id = {recorded.call_id: recorded for trace in batch for recorded in trace.calls}
    rewards = {trace.rollout_id: trace.reward for trace in batch}

    for row in adapt(batch).rows:
        calls = [by_id[call_id] for call_id in row.call_ids]
        assert row.reward == rewards[row.rollout_id]
        assert row.credits == tuple(rewards[row.rollout_id] for _ in calls)
        assert row.policy_versions == tuple(one.policy_version for one in calls)
        assert row.staleness == tuple(
            None if None in {adapt.current_version, one.policy_version} else adapt.current_version - one.policy_version
            for one in calls
        )
        assert row.provenance == tuple(one.call.provenance for one in calls)


@given(traces(), st.integers(1, 3))
def test_a_rollout_weighs_one_however_it_is_cut(batch, min_group):
    """Loss weights of a rollout's tokens add up to one: by call as by trajectory, in as many rows as there are."""

    def weights(level):
        found = Counter()
        for row in Triplets(level, min_group=min_group)(batch).rows:
            found[row.rollout_id] += Fraction(sum(row.mask), row.rollout_tokens)
        return found

    assert weights("trajectory") == weights("transition")
    assert set(weights("trajectory").values()) <= {1}


@given(traces(), adapters)
def test_what_is_left_of_a_rollout_weighs_one(batch, adapt):
    """Also where rows were too long."""
    weights = Counter()
    for row in adapt(batch).rows:
        weights[row.rollout_id] += Fraction(sum(row.mask), row.rollout_tokens)

    assert set(weights.values()) <= {1}


@given(st.data(), traces(), adapters)
def test_traces_do_not_touch_each_other(data, batch, adapt):
    """The order of a batch is the order of its rows, and nothing else."""
    shuffled = data.draw(st.permutations(batch))

    assert Counter(adapt(shuffled).rows) == Counter(adapt(batch).rows)
    assert Counter(adapt(shuffled).dropped) == Counter(adapt(batch).dropped)


@given(traces(), adapters)
def test_the_same_batch_gives_the_same_bytes(batch, adapt):
    """Which is what a run that is resumed compares."""
    first, again = (msgspec.json.encode(adapt(one).rows, order="sorted") for one in (batch, copy.deepcopy(batch)))

    assert first == again


@given(traces(), adapters)
def test_what_goes_in_stays_as_it_was(batch, adapt):
    """Every value equal, and the very object it was: others look at the same traces."""

    def objects():
        choices = [one for trace in batch for recorded in trace.calls for one in recorded.call.choices]
        return [*map(id, batch), *((id(one), id(one.token_ids), id(one.logprobs)) for one in choices)]

    before, were = copy.deepcopy(batch), objects()

    adapt(batch)

    assert batch == before
    assert objects() == were


@given(traces(), adapters)
def test_spans_change_no_row(batch, adapt):
    """Those with lost parents or in circles neither: rows are of calls, and of what they earned."""
    assert adapt(batch) == adapt([replace(trace, spans=()) for trace in batch])


@given(order=st.permutations([0] * 3 + [1] * 3 + [2] * 3))
def test_unrelated_calls_may_come_in_any_order(call, trace, order):
    """Three conversations that share nothing give the same rows however they interleave."""
    made, prompts = [], {0: (0,), 1: (1,), 2: (2,)}
    for which in order:
        prompt = prompts[which]
        made.append(call(f"{which}.{len(prompt)}", prompt, [which], agent=f"agent-{which}"))
        prompts[which] = (*prompt, which, 9)

    rows = Triplets(min_group=1)([trace("ro-1", *made)]).rows

    assert {row.call_ids for row in rows} == {(f"{which}.1", f"{which}.3", f"{which}.5") for which in range(3)}
    assert {row.began for row in rows} == {"start"}
