"""What TRL minimises is the cross-entropy of the tokens that were sampled, and of no other."""

from __future__ import annotations

import copy
import os
import random
import socket
import tempfile

import numpy as np
import pytest
import torch
from agl_sft import SftConfig
from agl_sft._trl import fit, trainer_of
from agl_sft._tuner import examples
from transformers import AutoModelForCausalLM

SGD = {"learning_rate": 1e-3, "schedule": "constant", "grad_clip": 0.0}


@pytest.fixture
def model(folder):
    """As it was before anybody tuned it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="session")
def rows(make_row):
    """Of several lengths, one of them of two calls with something of the agent's between them."""
    return [
        make_row("a", (5, 6, 7), 8, 9, earned=1.0),
        make_row("b", (5, 6), 10, 11, 12, [13], [14], 15, 16, earned=0.25),
        make_row("c", (7,), 20, earned=0.5),
        make_row("d", (7, 8, 9, 10), 21, 22, 23, earned=0.75),
        make_row("e", (11,), 24, 25, 26, 27, earned=0.125),
    ]


def by_hand(model, rows, weights=None):
    """-1/N sum w log pi, one row at a time, from the logits of the model as transformers has it."""
    weights = weights or [1.0] * len(rows)
    total, count = torch.zeros(()), 0
    for row, weight in zip(rows, weights, strict=True):
        log_pi = model(input_ids=torch.tensor([row.token_ids])).logits[0].log_softmax(-1)
        for place, bit in enumerate(row.mask, start=row.prompt_length):
            if bit:
                total = total - weight * log_pi[place - 1, row.token_ids[place]]
                count += 1
    return total / count


def drawn():
    """How far everybody's dice are."""
    return random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()  # noqa: NPY002


@pytest.fixture
def trained(tmp_path):
    """TRL's trainer, about to train."""

    def made(model, config, rows, *, weighted=False):
        told = examples(rows, weighted=weighted)
        return trainer_of(model, told, config, seed=3, folder=str(tmp_path), on_gpu=False)

    return made


def test_the_loss_of_a_batch_is_the_cross_entropy_of_the_sampled_tokens(model, rows, trained):
    """Prompts, what an agent put between calls, and padding add nothing."""
    expected = by_hand(model, rows)
    trainer = trained(copy.deepcopy(model), SftConfig(batch_size=8), rows)
    batch = trainer.data_collator([trainer.train_dataset[place] for place in range(len(rows))])

    loss = trainer.compute_loss(trainer.model, batch)

    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_in_a_weighted_loss_each_token_weighs_what_its_rollout_earned(model, rows, trained):
    """Divided by the mean over tokens, so that the loss is as large as without."""
    earned, counts = [row.reward for row in rows], [sum(row.mask) for row in rows]
    mean = sum(one * count for one, count in zip(earned, counts, strict=True)) / sum(counts)
    expected = by_hand(model, rows, [one / mean for one in earned])
    trainer = trained(copy.deepcopy(model), SftConfig(batch_size=8, choose="weighted"), rows, weighted=True)
    count = torch.tensor(sum(counts))

    passes = [trainer.data_collator([trainer.train_dataset[place]]) for place in range(len(rows))]
    loss = sum(trainer.compute_loss(trainer.model, one, num_items_in_batch=count) for one in passes)

    assert trainer.args.per_device_train_batch_size == 1
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("weighted", "at_once"), [(False, 1), (False, 3), (True, 6)])
def test_a_round_is_that_many_steps_of_adamw_on_it(model, rows, weighted, at_once):
    """All of it: accumulation, normalisation and the optimiser, however many rows go through the model at once."""
    ours, theirs = model, copy.deepcopy(model)
    config = SftConfig(**SGD, batch_size=6, rows_per_pass=at_once, epochs=2)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=0.0)
    weights = [one.weight for one in examples(rows, weighted=weighted)]

    metrics = fit(ours, examples(rows, weighted=weighted), config, seed=3, on_gpu=False)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = by_hand(theirs, rows, weights)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert metrics["train/steps"] == 2
    assert [metrics["train/loss_first"], metrics["train/loss_last"]] == pytest.approx(losses, rel=1e-5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        # Of a step of 1e-3: where a gradient is almost 0, AdamW makes much of how it was rounded.
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5)


def test_a_batch_is_no_larger_than_it_was_said(model, rows):
    """Five rows in batches of two are three steps, though four would go through the model at once."""
    metrics = fit(model, examples(rows), SftConfig(**SGD, batch_size=2, rows_per_pass=4), seed=3, on_gpu=False)

    assert metrics["train/steps"] == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"schedule": "constant"}, [1.0, 1.0, 1.0, 1.0]),
        ({"schedule": "constant", "warmup": 0.5}, [0.0, 0.5, 1.0, 1.0]),
        ({"schedule": "linear"}, [1.0, 0.75, 0.5, 0.25]),
    ],
)
def test_the_learning_rate_falls_within_the_round(model, rows, trained, options, expected):
    """As it is said, from its highest."""
    trainer = trained(model, SftConfig(**{**SGD, **options}, epochs=4), rows)

    trainer.train()

    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
    assert rates == pytest.approx([1e-3 * share for share in expected])


def test_nothing_is_left_behind(model, rows, tmp_path, monkeypatch, capfd):
    """No word, no file, no variable, no seed; and nobody is told."""

    def refuse(*_):
        raise AssertionError("it wants to reach the network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("CI", raising=False)
    facts, variables = model.config.to_dict(), dict(os.environ)
    chance = drawn()
    working = tmp_path.with_name("working")
    working.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(working))  # of our own: others work beside us

    fit(model, examples(rows), SftConfig(**SGD), seed=3, on_gpu=False)

    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
    assert not list(working.iterdir())
    assert dict(os.environ) == variables
    assert model.config.to_dict() == facts
    assert drawn() == chance


def test_a_loss_that_is_no_number_fails_the_round(model, rows):
    """Better than weights that are none, found a round later."""
    with torch.no_grad():
        model.lm_head.weight[0] = float("nan")

    with pytest.raises(ArithmeticError, match="non-finite"):
        fit(model, examples(rows), SftConfig(**SGD), seed=3, on_gpu=False)
