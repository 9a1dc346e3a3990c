"""An update: right on fresh rollouts, the same bytes every time, and better than before."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from statistics import fmean, stdev

import pytest
import torch
from agl_grpo import GrpoConfig
from agl_grpo._learner import Learner
from safetensors.torch import load_file

from agl_core.run import describe

FULL = GrpoConfig(learning_rate=1e-3)
LORA = GrpoConfig(learning_rate=1e-2, lora_rank=2)
SEVERAL = GrpoConfig(learning_rate=1e-3, epochs=2, minibatch=2, kl=0.1)

COUNTED = {"a": 3, "b": 9, "c": 5, "d": 5}


@pytest.fixture(scope="session")
def fresh(first, load, sample, make_row):
    """Rollouts of the first checkpoint at a temperature of 0.7, and their mean entropy."""
    model, dice, entropies, rows = load(first), torch.Generator().manual_seed(1), [], []
    for name, length, earned in zip("abcd", (3, 9, 5, 5), (1.0, -1.0, 0.5, -0.5), strict=True):
        said, logprobs, entropy = sample(model, (2, 3, 4), length, dice, temperature=0.7)
        rows.append(make_row(name, (2, 3, 4), *said, earned=earned, logprobs=logprobs, temperature=0.7))
        entropies += entropy
    return rows, sum(entropies) / len(entropies)


@pytest.fixture
def update(first, fresh, tmp_path):
    """The checkpoint and the metrics after an update, by a learner of its own unless one is given."""
    folders = (tmp_path / str(number) for number in count())

    def learn(config, checkpoint=None, *, learner=None, step=1):
        rows, _ = fresh
        learner = learner or Learner(config, reference=first, seed=7)
        out = next(folders)
        metrics = learner.update(checkpoint or first, out, rows, COUNTED, step)
        return describe(out, base=first.folder if config.lora_rank else None), metrics

    return learn


def test_a_fresh_rollout_has_ratio_one(fresh, update):
    """Our log-probabilities are the recorded ones, at the temperature that was sampled at; so is the entropy."""
    _, metrics = update(FULL)

    assert metrics["policy/kl"] == pytest.approx(0, abs=1e-7)
    assert metrics["policy/clip_fraction"] == 0
    assert metrics["policy/entropy"] == pytest.approx(fresh[1], rel=1e-5)
    assert metrics["policy/grad_norm"] > 0
    assert metrics["train/rows"] == 4


def test_answers_that_text_would_not_bring_back_are_counted(first, make_row, tmp_path):
    """`a` and `b` sampled one after the other read as `ab`, which is one token: of four answers, one drifts."""
    one = make_row("one", (2, 3), 0, 1, 4)
    other = make_row("other", (2, 3), 14, 4, [9], 5, 6, [9], 7, earned=-1.0)

    metrics = Learner(FULL, reference=first).update(first, tmp_path, [one, other], {"one": 3, "other": 6}, 1)

    assert metrics["train/drift"] == 1 / 4


def test_two_answers_with_nothing_between_them_are_two(first, make_row, tmp_path):
    """`a` of one call and `b` of the next were never one text; together they would be another token."""
    row = replace(make_row("one", (2, 3), 0, 1), sampled=(1, 1), credits=(1.0, 1.0))

    metrics = Learner(FULL, reference=first).update(first, tmp_path, [row], {"one": 2}, 1)

    assert metrics["train/drift"] == 0


@pytest.mark.parametrize("config", [FULL, LORA, SEVERAL])
def test_the_same_update_gives_the_same_bytes(update, config):
    """Twice from the same checkpoint, by two learners."""
    assert update(config)[0].digest == update(config)[0].digest


@pytest.mark.parametrize("config", [FULL, LORA, SEVERAL])
def test_memory_is_only_a_cache(first, update, config):
    """A process that goes on and one that starts from the files write the same bytes."""
    learner = Learner(config, reference=first, seed=7)
    second, _ = update(config, learner=learner)

    warm, _ = update(config, second, learner=learner, step=2)
    cold, _ = update(config, second, step=2)

    assert warm.digest == cold.digest


def test_a_learner_that_is_ahead_goes_back_to_the_files(first, update):
    """Asked to update a checkpoint it has left behind, it does not answer from memory."""
    learner = Learner(FULL, reference=first)
    expected, _ = update(FULL, learner=learner)

    assert update(FULL, learner=learner)[0].digest == expected.digest


def test_a_checkpoint_is_a_whole_model_without_a_pickle(first, load, update):
    """Weights, config, what came with the model, and the optimiser: in safetensors and JSON."""
    made, _ = update(FULL)

    names = {file.name for file in made.folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "optimizer.safetensors", "state.json", "tokenizer.json"}
    assert {file.suffix for file in made.folder.iterdir()} == {".json", ".safetensors"}
    assert json.loads((made.folder / "state.json").read_text())["parent"] == first.digest
    moved = [(one != other).any() for one, other in zip(load(first).parameters(), load(made).parameters(), strict=True)]
    assert all(moved)


def test_the_optimiser_remembers(first, update):
    """Its moments and its count come back from the files: a second step is not a first one again."""
    second, _ = update(FULL)
    third, _ = update(FULL, second, step=2)

    assert json.loads((third.folder / "state.json").read_text())["optimizer_steps"] == 2
    assert (
        load_file(third.folder / "optimizer.safetensors").keys()
        == load_file(second.folder / "optimizer.safetensors").keys()
    )


def test_adapters_leave_the_base_alone(first, load, update):
    """A LoRA checkpoint is a peft folder: small, and no copy of the model below it."""
    made, _ = update(LORA)

    assert {file.name for file in made.folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "optimizer.safetensors",
        "state.json",
    }
    tokens = torch.tensor([[2, 3, 4]])
    assert (load(made)(input_ids=tokens).logits != load(first)(input_ids=tokens).logits).any()


def test_a_divergence_from_the_first_checkpoint_is_measured(update):
    """None at first, some after a step away from it."""
    config = replace(FULL, kl=0.1)
    second, at_first = update(config)
    _, later = update(config, second, step=2)

    assert at_first["policy/kl_reference"] == 0
    assert later["policy/kl_reference"] > 0


def test_a_gradient_that_is_not_finite_fails_the_step(first, make_row, tmp_path):
    """Better than weights that are not numbers, found steps later."""
    rows = [make_row("a", (2,), 3, earned=-1.0, logprobs=[-2000.0])]

    with pytest.raises(RuntimeError, match="non-finite"):
        Learner(FULL, reference=first).update(first, tmp_path / "out", rows, {"a": 1}, 1)


@pytest.mark.parametrize(
    "claim",
    [
        (GrpoConfig(learning_rate=1e-2), 40, 0.8),
        # Adapters leave a random vocabulary as random as it was: two of the three answers are within reach.
        (GrpoConfig(learning_rate=1e-2, lora_rank=8, lora_alpha=8), 20, 0.5),
    ],
)
def test_it_learns(first, load, make_row, tmp_path, claim):
    """A bandit over tokens: after `2, q` only one of 16 tokens pays, and chance is 0.06."""
    (config, steps, at_least), dice = claim, torch.Generator().manual_seed(3)
    learner, checkpoint, means = Learner(config, reference=first), first, []
    for step in range(steps):
        model, rows, rewards = load(checkpoint), [], []
        for question in (3, 4, 5):
            log_pi = model(input_ids=torch.tensor([[2, question]])).logits[0, -1].log_softmax(-1)
            said = {f"{question}.{n}": int(torch.multinomial(log_pi.exp(), 1, generator=dice)) for n in range(16)}
            earned = [float(one == question + 5) for one in said.values()]
            scale = (stdev(earned) if len(set(earned)) > 1 else 1) + 1e-6
            for (name, one), reward in zip(said.items(), earned, strict=True):
                advantage = (reward - fmean(earned)) / scale
                rows.append(make_row(name, (2, question), one, earned=advantage, logprobs=[float(log_pi[one])]))
            rewards += earned
        means.append(fmean(rewards))
        if any(row.credits != (0.0,) for row in rows):
            out = tmp_path / str(step)
            learner.update(checkpoint, out, rows, {row.rollout_id: 1 for row in rows}, step)
            checkpoint = describe(out, base=first.folder if config.lora_rank else None)

    assert means[0] < 0.3
    assert sum(means[-5:]) / 5 > at_least
