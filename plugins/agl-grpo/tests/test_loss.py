"""The loss: equal to a slow one written down again, and blind to how the rows are cut."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from agl_grpo._aggregation import Shared, per_rollout_mean
from agl_grpo._batch import Lesson, batches
from agl_grpo._config import Estimator
from agl_grpo._loss import DIVERGENCES, clipped, entropy, k3, surrogate, truncated
from hypothesis import given, settings
from hypothesis import strategies as st

ROLLOUTS = 3


@pytest.fixture
def rows(make_row):
    """Three rollouts: two calls with the agent's words between, one call, and one whose turns did not merge."""
    return [
        make_row("a", (2, 3), 4, 5, [6], [7], 8, earned=(1.5, 0.25), logprobs=(-2.5, -1.5, -3.0)),
        make_row("b", (2, 9, 10), 11, earned=-0.5, logprobs=(-2.0,), temperature=0.5),
        make_row("c", (3,), 4, 5, 6, earned=-1.0, logprobs=(-3.0, -3.5, -1.0), rollout_tokens=4),
        make_row("c", (12, 13, 14, 15), 2, earned=-1.0, logprobs=(-2.2,), rollout_tokens=4),
    ]


def slow_loss(model, reference, rows, *, clip, kl):
    """The formula of the paper, a token at a time: one forward pass for each, in double precision.

    A call ends where the agent says something.
    """

    @torch.no_grad()
    def log_pi(asked, row, place):
        logits = asked(input_ids=torch.tensor([row.token_ids[:place]])).logits[0, -1].double() / row.temperature
        return float(logits[row.token_ids[place]] - logits.logsumexp(-1))

    loss = 0.0
    for row in rows:
        recorded, earned, before, credit = iter(row.logprobs), iter(row.credits), 0, None
        for place, bit in enumerate(row.mask, start=row.prompt_length):
            if bit and not before:
                credit = next(earned)
            before = bit
            if bit:
                new = log_pi(model, row, place)
                ratio = math.exp(new - next(recorded))
                held = max(1 - clip, min(1 + clip, ratio))
                paid = min(ratio * credit, held * credit)
                log_ratio = log_pi(reference, row, place) - new
                divergence = math.exp(log_ratio) - log_ratio - 1
                loss -= (paid - kl * divergence) / row.rollout_tokens / ROLLOUTS
    return loss


@pytest.mark.parametrize("options", [{"clip": 0.2, "kl": 0.0}, {"clip": 0.2, "kl": 0.04}, {"clip": 10.0, "kl": 0.5}])
def test_it_is_the_loss_of_the_paper(first, load, rows, total, options):
    """Padding, masks, temperatures, clip and divergence, against one slow loop over tokens."""
    model = load(first)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.1)  # so that the reference is another model

    loss, _, _ = total(model, rows, **options)

    assert loss == pytest.approx(slow_loss(model, load(first), rows, **options), rel=1e-4)


def test_cutting_a_trajectory_into_rows_changes_nothing(first, load, make_row, rows, total):
    """A rollout weighs the same in one row as in one a call, and its gradient is the same."""
    cut = [
        make_row("a", (2, 3), 4, 5, earned=1.5, logprobs=(-2.5, -1.5), rollout_tokens=3),
        make_row("a", (2, 3, 4, 5, 6, 7), 8, earned=0.25, logprobs=(-3.0,), rollout_tokens=3),
        *rows[1:],
    ]
    model = load(first)

    whole, gradient, _ = total(model, rows)
    parts, gradient_of_parts, _ = total(model, cut)

    assert parts == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(gradient_of_parts, gradient, rtol=1e-3, atol=1e-5)


def test_calls_with_nothing_between_them_keep_their_own_credit(make_row):
    """The mask has no seam there; what each call sampled says where one ends."""
    row = replace(make_row("a", (2, 3), 4, 5, 6), sampled=(1, 2), credits=(0.5, -1.5))

    (batch,) = batches([Lesson(row=row)], tokens_per_pass=64, sampled_per_pass=64)

    assert batch.advantage.tolist() == [0.5, -1.5, -1.5]


@pytest.mark.parametrize("size", [1, 5])
def test_a_rollout_of_many_rows_weighs_as_much_as_one_of_one(make_row, size):
    """The mean is over rollouts, however many rows or tokens each of them has."""
    rows = [make_row("long", (place,), 4, 5, rollout_tokens=2 * size) for place in range(size)]
    rows.append(make_row("short", (3,), 4))
    shared = Shared(rollouts=2, tokens=2 * size + 1, constant=1)

    weights = [per_rollout_mean(row, shared) for row in rows for _ in row.logprobs]

    assert sum(weights) == pytest.approx(1.0)
    assert max(weights) == 0.5


@pytest.mark.parametrize("cut", [{"tokens_per_pass": 1}, {"tokens_per_pass": 8}, {"sampled_per_pass": 1}])
def test_cutting_rows_into_passes_changes_nothing(first, load, rows, total, cut):
    """What fits into memory at once is nobody's business but the memory's."""
    model = load(first)

    whole, gradient, sums = total(model, rows)
    parts, gradient_of_parts, sums_of_parts = total(model, rows, **cut)

    assert parts == pytest.approx(whole, rel=1e-5)
    assert sums_of_parts == pytest.approx(sums, rel=1e-5)
    torch.testing.assert_close(gradient_of_parts, gradient, rtol=1e-3, atol=1e-5)


@settings(max_examples=20)
@given(others=st.tuples(st.integers(0, 15), st.integers(0, 15)))
def test_what_was_not_sampled_is_no_target(first, load, make_row, total, others):
    """To a model that cannot read, the agent's words are nothing at all: not even a target."""
    model = load(first)
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())  # it still speaks
        model.get_input_embeddings().weight[:] = model.get_input_embeddings().weight[0].clone()
    one, other = (make_row("a", (2, 3), 4, 5, [x], [y], 8) for x, y in [(6, 7), others])

    assert total(model, [one])[0] == total(model, [other])[0]


def test_passes_hold_rows_of_like_length(make_row):
    """Shortest first, each row once, and none wider than the pass allows."""
    rows = [make_row(name, range(2, 2 + length), 1) for name, length in zip("abc", (9, 2, 8), strict=True)]

    found = list(batches([Lesson(row=row) for row in rows], tokens_per_pass=18, sampled_per_pass=99))

    assert [tuple(batch.tokens.shape) for batch in found] == [(2, 8), (1, 9)]


def test_the_clip_holds_what_would_pay_too_much():
    """Four ratios by hand: the pessimistic one of the two counts, and a clip is told where it bites."""
    old = torch.zeros(4)
    new, advantage = torch.tensor([1.5, 0.5, 1.5, 0.5]).log(), torch.tensor([1.0, 1.0, -1.0, -1.0])

    assert surrogate(new, old, advantage, low=0.2, high=0.2).tolist() == pytest.approx([-1.2, -0.5, 1.5, 0.8])
    assert clipped(new, old, advantage, low=0.2, high=0.2).tolist() == [1, 0, 0, 1]


def test_a_bound_above_may_be_another():
    """Clip-higher: what pays is held later, and what costs is not held by it at all."""
    old = torch.zeros(4)
    new, advantage = torch.tensor([1.25, 1.5, 0.5, 1.5]).log(), torch.tensor([1.0, 1.0, -1.0, -1.0])

    assert surrogate(new, old, advantage, low=0.2, high=0.28).tolist() == pytest.approx([-1.25, -1.28, 0.8, 1.5])
    assert clipped(new, old, advantage, low=0.2, high=0.28).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("gap", [math.log(4.0), 200.0])
def test_a_dual_clip_bounds_what_a_bad_token_costs(gap):
    """From its ratio on it pulls no more, even where that is too large to be a number; good ones are as before."""
    new = torch.tensor([gap, gap, math.log(2.0)], requires_grad=True)
    old, advantage = torch.zeros(3), torch.tensor([-1.5, 1.5, -1.5])
    both = {"low": 0.2, "high": 0.2, "dual": 3.0}

    losses = surrogate(new, old, advantage, **both)
    losses[[0, 2]].sum().backward()

    assert losses[[0, 2]].tolist() == pytest.approx([4.5, 3.0])
    assert losses[1].item() == pytest.approx(-1.8)
    assert new.grad.tolist() == pytest.approx([0.0, 0.0, 3.0])
    assert clipped(new, old, advantage, **both).tolist() == [1, 1, 0]


def test_a_divergence_is_what_it_says_it_is():
    """Over all tokens that could be drawn: the means of k1 and k3 are, and the gradients of k2 and rho k3."""
    theta = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64, requires_grad=True)
    other = torch.tensor([0.0, 0.5, 0.2, -0.3], dtype=torch.float64).log_softmax(-1)
    new = theta.log_softmax(-1)
    drawn, old = new.exp().detach(), new.detach()
    exact = (new.exp() * (new - other)).sum()
    kinds = {**DIVERGENCES, "rho k3": lambda new, other: (new - old).exp() * k3(new, other)}

    means = {name: (drawn * kind(new, other)).sum().item() for name, kind in kinds.items()}
    slopes = {
        name: torch.autograd.grad((drawn * kind(new, other)).sum(), theta, retain_graph=True)[0]
        for name, kind in kinds.items()
    }

    assert means == pytest.approx(dict.fromkeys(kinds, exact.item()) | {"k2": means["k2"]}, rel=1e-12)
    (slope,) = torch.autograd.grad(exact, theta)
    torch.testing.assert_close(slopes["k2"], slope)
    torch.testing.assert_close(slopes["rho k3"], slope)
    torch.testing.assert_close(slopes["k1"], torch.zeros_like(slope))
    assert set(DIVERGENCES) == set(get_args(Estimator))


def test_what_others_drew_weighs_at_most_the_cap():
    """A ratio of the old policy to the one that spoke, whatever its size."""
    old = torch.tensor([0.0, 1.0, -1.0, 500.0])

    assert truncated(old, torch.zeros(4), cap=2.0).tolist() == pytest.approx([1.0, 2.0, math.exp(-1), 2.0])


def test_entropy_and_divergence_by_hand():
    """A fair coin has log 2; a policy does not diverge from itself, and from another by a positive amount."""
    assert entropy(torch.zeros(1, 2)).item() == pytest.approx(math.log(2))
    assert k3(torch.tensor([-1.0]), torch.tensor([-1.0])).item() == 0
    half, quarter = torch.tensor([[0.5], [0.25]]).log()
    assert k3(half, quarter).item() == pytest.approx(0.5 + math.log(2) - 1)


def test_rows_are_read_and_left_as_they_were(rows):
    """A row is a fact; merging and padding work on copies."""
    before = [replace(row) for row in rows]

    list(batches([Lesson(row=row) for row in rows], tokens_per_pass=64, sampled_per_pass=64))

    assert rows == before
