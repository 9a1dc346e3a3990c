"""A rollout weighs what it weighs: however it is cut into rows, rows into passes, and a round into minibatches.

Agent Lightning 1.0 divides by the rows of the whole step, so that more rows, or more minibatches, are a shorter step.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
import torch
from agl_grpo import GrpoConfig
from agl_grpo._batch import Lesson, as_batch
from agl_grpo._learner import Learner
from hypothesis import given, settings
from hypothesis import strategies as st

AGGREGATIONS = st.sampled_from(["per_rollout_mean", "token_mean", "constant"])
tokens = st.integers(2, 15)
logprobs = st.floats(-6, -0.5)


@st.composite
def rollouts(draw):
    """Conversations: of each, what opens it, and its calls: what they sampled, earned, and were answered by a tool."""
    made = []
    for name in "abcd"[: draw(st.integers(1, 4))]:
        calls = [
            {
                "said": draw(st.lists(st.tuples(tokens, logprobs), min_size=1, max_size=3)),
                "earned": draw(st.sampled_from([-1.5, -0.5, 0.0, 0.25, 1.0])),
                "answer": draw(st.lists(tokens, max_size=2)),
            }
            for _ in range(draw(st.integers(1, 3)))
        ]
        made.append((name, draw(st.lists(tokens, min_size=1, max_size=3)), calls))
    return made


@pytest.fixture(scope="session")
def rows_of(make_row):
    """Its rows: one, and a new one before each call whose place is among `cuts`."""

    def make(rollout, cuts=()):
        name, history, calls = rollout
        total = sum(len(call["said"]) for call in calls)
        bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(calls)}), len(calls)]
        lengths = list(accumulate((len(call["said"]) + len(call["answer"]) for call in calls), initial=0))
        spoken = [token for call in calls for token in [*(one for one, _ in call["said"]), *call["answer"]]]
        for first, after in pairwise(bounds):
            words = []
            for call in calls[first:after]:
                words += [token for token, _ in call["said"]] + [[token] for token in call["answer"]]
            row = make_row(name, [*history, *spoken[: lengths[first]]], *words, earned=1.0, rollout_tokens=total)
            yield replace(
                row,
                sampled=tuple(len(call["said"]) for call in calls[first:after]),
                credits=tuple(call["earned"] for call in calls[first:after]),
                logprobs=tuple(logprob for call in calls[first:after] for _, logprob in call["said"]),
            )

    return make


@pytest.fixture(scope="module")
def model(first, load):
    """Not the first checkpoint any more."""
    moved = load(first).requires_grad_(requires_grad=True)
    with torch.no_grad():
        moved.get_input_embeddings().weight.mul_(1.1)
    return moved


def close(gradient, expected):
    """To what single floats add up to."""
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=2e-5 * max(1.0, float(expected.abs().max())))


@settings(max_examples=25)
@given(
    round_=rollouts(),
    cuts=st.sets(st.integers(1, 2)),
    width=st.integers(1, 40),
    sampled=st.integers(1, 12),
    aggregation=AGGREGATIONS,
    options=st.sampled_from([{}, {"kl": 0.2}, {"clip_high": 0.5, "dual_clip": 3.0}, {"recompute_old": True}]),
)
def test_rows_and_passes_change_nothing(rows_of, model, total, round_, cuts, width, sampled, aggregation, options):
    """One row or one a call, one pass or one a row: the same loss, and the same gradient."""
    whole = [row for rollout in round_ for row in rows_of(rollout)]
    parts = [row for rollout in round_ for row in rows_of(rollout, cuts)]

    loss, gradient, sums = total(model, whole, aggregation=aggregation, **options)
    cut = {"tokens_per_pass": width, "sampled_per_pass": sampled}
    again, gradient_of_parts, sums_of_parts = total(model, parts, aggregation=aggregation, **cut, **options)

    assert again == pytest.approx(loss, rel=1e-4, abs=1e-5)
    assert sums_of_parts == pytest.approx(sums, rel=1e-3, abs=1e-3)
    close(gradient_of_parts, gradient)


@settings(max_examples=15)
@given(round_=rollouts(), silent=st.integers(0, 2), size=st.integers(1, 6), aggregation=AGGREGATIONS)
def test_minibatches_add_up_to_the_round(rows_of, model, total, first, round_, silent, size, aggregation):
    """What steps are divided by adds up to what the round is; weighed by that, so do their gradients."""
    rows = [row for rollout in round_ for row in rows_of(rollout)]
    counted = Counter({f"silent-{n}": 0 for n in range(silent)})
    for row in rows:
        counted[row.rollout_id] += len(row.logprobs)
    learner = Learner(GrpoConfig(minibatch=size, aggregation=aggregation), reference=first)
    _, whole, _ = total(model, rows, rollouts=counted, aggregation=aggregation)

    added = torch.zeros_like(whole)
    divisors = []
    for lessons in learner._minibatches([Lesson(row=row) for row in rows], counted, random.Random(1)):
        model.zero_grad()
        learner._loss_of(model, as_batch(lessons), Counter()).backward()
        divisors.append(_divisor(lessons[0], aggregation))
        added += divisors[-1] * torch.cat([weight.grad.flatten() for weight in model.parameters()])

    everything = {"per_rollout_mean": len(counted), "token_mean": counted.total(), "constant": 256 * len(counted)}
    close(added / everything[aggregation], whole)
    if not silent:  # a step in which nobody spoke is none, and nothing is divided by its rollouts
        assert sum(divisors) == pytest.approx(everything[aggregation])


def _divisor(lesson, aggregation):
    """What the losses of all tokens of its step are divided by, in common."""
    return 1 / (lesson.weight * (lesson.row.rollout_tokens if aggregation == "per_rollout_mean" else 1))


@given(count=st.integers(1, 40), size=st.integers(1, 12))
def test_a_round_is_cut_evenly(make_row, first, count, size):
    """No step is of a few left over, each of which would move the weights by more than any other rollout."""
    rows = [make_row(str(n), (2, 3), 4) for n in range(count)]
    learner = Learner(GrpoConfig(minibatch=size), reference=first)

    steps = list(
        learner._minibatches([Lesson(row=row) for row in rows], {str(n): 1 for n in range(count)}, random.Random(1))
    )

    sizes = [len(lessons) for lessons in steps]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert sorted(lesson.row.rollout_id for lessons in steps for lesson in lessons) == sorted(map(str, range(count)))


@pytest.mark.parametrize("aggregation", ["per_rollout_mean", "constant"])
def test_rollouts_without_rows_are_divided_by(rows_of, model, total, aggregation):
    """They tried, and were scored: the step is as much shorter."""
    calls = [{"said": [(4, -2.0), (5, -3.0)], "earned": 1.0, "answer": []}]
    rows = list(rows_of(("a", [2, 3], calls)))

    _, alone, _ = total(model, rows, rollouts={"a": 2}, aggregation=aggregation)
    _, beside, _ = total(model, rows, rollouts={"a": 2, "b": 0, "c": 0, "d": 0}, aggregation=aggregation)

    close(4 * beside, alone)


def test_a_reward_is_not_rounded_to_half_precision(make_row):
    """In bfloat16 these two would be one number."""
    rows = [make_row("a", (2,), 3, earned=0.50001), make_row("b", (2,), 3, earned=0.50002)]

    batch = as_batch([Lesson(row=row) for row in rows])

    assert batch.advantage.tolist() == pytest.approx([0.50001, 0.50002], rel=1e-7)
