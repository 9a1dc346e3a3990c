"""What holds for every trace, whatever went wrong in it."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from agl_triplets import Triplets, turns
from hypothesis import given
from hypothesis import strategies as st

# Few tokens, short texts: so that prompts collide, continue each other and branch.
tokens = st.lists(st.integers(0, 2), max_size=6)
answers = st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=3)
faults = st.sampled_from(
    [
        {},
        {},
        {},
        {"status": "broken"},
        {"role": "judge"},
        {"agent": "other"},
        {"provenance": "absent"},
        {"provenance": "retokenised"},
        {"logprobs": (-1.0,)},
        {"temperature": 0.5},
        {"temperature": 0.0},
        {"top_p": 0.5},
    ]
)
exits = st.sampled_from(
    [
        {"reward": 1.0},
        {"reward": 0.0},
        {"reward": None},
        {"status": "cancelled"},
        {"status": "failed", "exit_status": "worker_lost"},
        {"status": "failed", "exit_status": "timeout"},
    ]
)
adapters = st.builds(
    Triplets,
    st.sampled_from(["trajectory", "transition"]),
    agent=st.sampled_from([None, "other"]),
    min_group=st.integers(1, 3),
)


@pytest.fixture(scope="session")
def traces(call, trace):
    """Batches of traces whose calls often, and not always, continue earlier ones."""

    @st.composite
    def calls(draw, rollout):
        made = []
        for index in range(draw(st.integers(0, 7))):
            prompt = draw(tokens)
            if made and draw(st.booleans()):
                before = draw(st.sampled_from(made)).call
                prompt = [*before.prompt_token_ids, *draw(st.sampled_from(before.choices)).token_ids, *prompt]
            made.append(call(f"{rollout}.{index}", prompt, *draw(answers), **draw(faults)))
        return made

    @st.composite
    def batches(draw):
        return [
            trace(f"ro-{index}", *draw(calls(index)), task_id=draw(st.sampled_from("ab")), **draw(exits))
            for index in range(draw(st.integers(0, 5)))
        ]

    return batches()


def kept_calls(batch, adapted):
    """Policy calls of `batch` that were not dropped."""
    dropped = {one.call_id for one in adapted.dropped}
    policy = (recorded for trace in batch for recorded in trace.calls if recorded.role == "policy")
    return [recorded for recorded in policy if recorded.call_id not in dropped]


@given(data=st.data(), adapt=adapters)
def test_captured_is_kept_plus_dropped(traces, data, adapt):
    """The conservation law: no call vanishes, none is counted twice."""
    batch = data.draw(traces)

    adapted = adapt(batch)

    policy = [recorded.call_id for trace in batch for recorded in trace.calls if recorded.role == "policy"]
    in_rows = {call_id for row in adapted.rows for call_id in row.call_ids}
    assert sorted([*in_rows, *(one.call_id for one in adapted.dropped)]) == sorted(policy)
    assert (adapted.captured, adapted.kept) == (len(policy), len(in_rows))


@given(data=st.data(), adapt=adapters)
def test_every_sampled_token_is_trained_on_exactly_once(traces, data, adapt):
    """Masks, logprobs and counts agree, and together they hold what was sampled."""
    batch = data.draw(traces)

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


@given(data=st.data(), adapt=adapters)
def test_merging_can_be_undone(traces, data, adapt):
    """Each call's prompt and answers come back out of the rows, token for token."""
    batch = data.draw(traces)

    adapted = adapt(batch)

    found = Counter((turn.call_id, turn.prompt, turn.sampled) for row in adapted.rows for turn in turns(row))
    assert found == Counter(
        (recorded.call_id, recorded.call.prompt_token_ids, choice.token_ids)
        for recorded in kept_calls(batch, adapted)
        for choice in recorded.call.choices
        if choice.token_ids
    )


@given(data=st.data(), adapt=adapters)
def test_a_rollout_weighs_one_however_it_is_cut(traces, data, adapt):
    """Loss weights of a rollout's tokens add up to one, in as many rows as there are."""
    adapted = adapt(data.draw(traces))

    weights = Counter()
    for row in adapted.rows:
        weights[row.rollout_id] += Fraction(sum(row.mask), row.rollout_tokens)
    assert set(weights.values()) <= {1}


@given(data=st.data(), adapt=adapters)
def test_traces_do_not_touch_each_other(traces, data, adapt):
    """The order of a batch is the order of its rows, and nothing else; the same batch gives the same rows."""
    batch = data.draw(traces)
    shuffled = data.draw(st.permutations(batch))

    rows = adapt(batch).rows

    assert adapt(batch).rows == rows
    assert Counter(adapt(shuffled).rows) == Counter(rows)


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
