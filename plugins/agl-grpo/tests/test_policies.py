"""Four policies in one loss: who spoke, who ratios are taken to, who is in training, and who was the first."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
from agl_grpo import GrpoConfig
from agl_grpo._batch import Lesson
from agl_grpo._learner import Learner
from agl_grpo._student import load as load_student

from agl_core.run import describe

ROUND = GrpoConfig(learning_rate=5e-3, epochs=3, minibatch=2, grad_clip=0)
LORA = GrpoConfig(learning_rate=1e-2, lora_rank=2, kl=0.1)


@pytest.fixture(scope="module")
def said(first, load, sample, make_row):
    """Four rollouts of the first checkpoint, with what it said of each token."""
    model, dice = load(first), torch.Generator().manual_seed(1)
    rows = []
    for name, length, earned in zip("abcd", (3, 9, 5, 5), (1.0, -1.0, 0.5, -0.5), strict=True):
        tokens, logprobs, _ = sample(model, (2, 3, 4), length, dice)
        rows.append(make_row(name, (2, 3, 4), *tokens, earned=earned, logprobs=logprobs))
    return rows, {row.rollout_id: row.rollout_tokens for row in rows}


@pytest.fixture
def watched(monkeypatch):
    """The batches that a learner's steps were taken on, with what the model said of their tokens."""
    seen = []
    loss_of = Learner._loss_of

    def watch(self, model, batch, sums):
        seen.append(batch)
        return loss_of(self, model, batch, sums)

    monkeypatch.setattr(Learner, "_loss_of", watch)
    return seen


# --- the one that ratios are taken to


@pytest.mark.parametrize("recompute_old", [False, True])
def test_the_old_policy_stays_the_old_one(first, said, watched, tmp_path, recompute_old):
    """In every epoch and every minibatch, token by token, though the weights have moved since."""
    rows, counted = said
    config = replace(ROUND, recompute_old=recompute_old)

    metrics = Learner(config, reference=first).update(first, tmp_path / "out", rows, counted, 1)

    recorded = sorted(one for row in rows for one in row.logprobs for _ in range(ROUND.epochs))
    assert sorted(one for batch in watched for one in batch.old.tolist()) == pytest.approx(recorded, abs=1e-5)
    assert len(watched) == 6
    assert metrics["policy/kl"] > 1e-3  # of the new policy from the old one: it did move


def test_several_epochs_are_the_formula_said_several_times(first, load, said, tmp_path):
    """The same steps by a plain loop over tokens: ratios to what was recorded, AdamW, and nothing else.

    Were ratios taken to the policy of the epoch before, the loop would end elsewhere.
    """
    rows, counted = said
    Learner(ROUND, reference=first).update(first, tmp_path / "out", rows, counted, 1)
    learnt = _log_pi(load(describe(tmp_path / "out")), rows)

    by_hand, moving = (
        _log_pi(_trained(load(first), rows, counted, first, moves=moves), rows) for moves in (False, True)
    )

    started = torch.tensor([one for row in rows for one in row.logprobs])
    assert float((learnt - started).abs().max()) > 0.2
    torch.testing.assert_close(learnt, by_hand, rtol=0, atol=2e-4)
    assert float((learnt - moving).abs().max()) > 2e-3


def _trained(model, rows, counted, first, *, moves):
    model.requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ROUND.learning_rate, weight_decay=0.0)
    cutter = Learner(ROUND, reference=first)
    for epoch in range(ROUND.epochs):
        old = {row.rollout_id: row.logprobs for row in rows}
        if moves:
            old = {row.rollout_id: _log_pi(model, [row]).tolist() for row in rows}
        for lessons in cutter._minibatches([Lesson(row=row) for row in rows], counted, random.Random(f"0/1/{epoch}")):
            loss = 0.0
            for row in (lesson.row for lesson in lessons):
                for new, before in zip(_log_pi(model, [row], grad=True), old[row.rollout_id], strict=True):
                    ratio, earned = (new - before).exp(), row.credits[0]
                    paid = torch.minimum(ratio * earned, ratio.clamp(0.8, 1.2) * earned)
                    loss = loss - paid / row.rollout_tokens / len(lessons)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def _log_pi(model, rows, *, grad=False):
    with torch.set_grad_enabled(grad):
        found = []
        for row in rows:
            tokens = torch.tensor([row.token_ids])
            log_pi = model(input_ids=tokens).logits[0, :-1].log_softmax(-1)
            found.append(log_pi.gather(-1, tokens[0, 1:, None])[row.prompt_length - 1 :, 0])
        return torch.cat(found)


# --- the one that spoke


def test_of_what_it_said_itself_nothing_is_computed_again(first, said, tmp_path):
    """Where rollouts are of the weights in training, recomputed log-probabilities are those recorded: weights are 1."""
    rows, counted = said
    asked = replace(ROUND, epochs=1, minibatch=0, recompute_old=True)

    metrics = Learner(asked, reference=first).update(first, tmp_path / "out", rows, counted, 1)

    assert metrics["policy/is_weight"] == pytest.approx(1, abs=1e-5)
    assert (metrics["policy/is_truncated"], metrics["policy/kl_rollout"]) == (0, pytest.approx(0, abs=1e-7))


def test_a_token_of_older_weights_weighs_what_its_probability_became(first, load, said, total):
    """min(pi_old / pi_rollout, C), by hand; its ratio begins at 1, so that no clip is in the way."""
    rows, _ = said
    stale = [
        replace(row, logprobs=tuple(one - gap for one, gap in zip(row.logprobs, _GAPS, strict=False))) for row in rows
    ]

    loss, _, sums = total(load(first), stale, recompute_old=True, is_truncation=2.0)

    weights = [min(math.exp(gap), 2.0) for row in rows for gap in _GAPS[: row.rollout_tokens]]
    earned = [row.credits[0] / row.rollout_tokens / 4 for row in rows for _ in row.logprobs]
    assert loss == pytest.approx(-sum(one * weight for one, weight in zip(earned, weights, strict=True)), rel=1e-4)
    assert sums["is_weight"] == pytest.approx(sum(weights), rel=1e-5)
    assert sums["is_truncated"] == sum(weight == 2.0 for weight in weights)
    assert sums["clipped"] == 0


_GAPS = (0.0, 0.5, 1.5, -1.0, -0.2, 3.0, 0.1, 0.69, -2.0)
"""By how much the log-probability of a token grew since it was sampled."""


def test_without_a_cap_every_token_weighs_the_same(first, load, said, total):
    """Only ratios change, then."""
    rows, _ = said
    stale = [replace(row, logprobs=tuple(one - 1.0 for one in row.logprobs)) for row in rows]

    loss, _, _ = total(load(first), stale, recompute_old=True, is_truncation=0)

    assert loss == pytest.approx(-sum(row.credits[0] for row in rows) / 4, abs=1e-6)


def test_without_recomputing_the_recorded_ones_are_old(first, load, said, total):
    """A stale row meets the clip at once: what its ratio pays is bounded as any other's."""
    rows, _ = said
    stale = [replace(row, logprobs=tuple(one - 1.0 for one in row.logprobs)) for row in rows]

    _, _, sums = total(load(first), stale)

    assert sums["clipped"] == sum(row.rollout_tokens for row in rows if row.credits[0] > 0)
    assert "is_weight" not in sums


# --- the first


def test_below_adapters_lies_the_first_policy(first, load, said, tmp_path):
    """A LoRA is compared with the model it lies on, and no second copy of that is made."""
    rows, counted = said
    learner = Learner(LORA, reference=first)
    learner.update(first, tmp_path / "one", rows, counted, 1)
    one = describe(tmp_path / "one", base=first.folder)

    metrics = learner.update(one, tmp_path / "two", rows, counted, 2)

    assert learner._frozen is None
    new, reference = _log_pi(load(one), rows), _log_pi(load(first), rows)
    by_hand = ((reference - new).exp() - (reference - new) - 1).mean()
    assert metrics["policy/kl_reference"] == pytest.approx(float(by_hand), rel=1e-3)
    assert metrics["policy/kl_reference"] > 0


def test_adapters_that_were_the_first_policy_stay_it(first, load, said, tmp_path):
    """A run that begins on adapters is compared with these, and not with the model below them."""
    rows, counted = said
    Learner(LORA, reference=first).update(first, tmp_path / "one", rows, counted, 1)
    one = describe(tmp_path / "one", base=first.folder)

    metrics = Learner(LORA, reference=one).update(one, tmp_path / "two", rows, counted, 1)

    assert metrics["policy/kl_reference"] == pytest.approx(0, abs=1e-7)


def test_after_it_was_asked_adapters_learn_on(first, said, tmp_path):
    """Switched off for the reference, they are on again, and the same bytes come of memory and of files."""
    rows, counted = said
    learner = Learner(LORA, reference=first)
    learner.update(first, tmp_path / "one", rows, counted, 1)
    one = describe(tmp_path / "one", base=first.folder)

    learner.update(one, tmp_path / "warm", rows, counted, 2)
    Learner(LORA, reference=first).update(one, tmp_path / "cold", rows, counted, 2)

    assert describe(tmp_path / "warm").digest == describe(tmp_path / "cold").digest != one.digest
    student = load_student(one, LORA, device=torch.device("cpu"), seed=0)
    with Learner(LORA, reference=first)._first(student):
        pass
    assert all(weight.requires_grad for name, weight in student.model.named_parameters() if "lora" in name)
