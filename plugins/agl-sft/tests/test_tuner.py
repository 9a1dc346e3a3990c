"""A round of tuning: the same bytes every time, a folder that others open, and a policy that says it again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import count

import pytest
import torch
from agl_sft import SftConfig
from agl_sft._tuner import Tuner, examples
from safetensors.torch import load_file

from agl_core.errors import BadValue, MissingExtra, NotTunable
from agl_core.run import describe

FULL = SftConfig(learning_rate=1e-2, device="cpu", batch_size=4)
LORA = replace(FULL, lora_rank=2, lora_dropout=0.1)


@pytest.fixture(scope="session")
def rows(make_row):
    """Four of three tokens."""
    return [
        make_row(f"ro-{first}", (5, 6), first, first + 1, first + 2, earned=first / 40) for first in (10, 20, 30, 40)
    ]


@pytest.fixture
def tune(first, rows, tmp_path):
    """The checkpoint and the metrics after a round, by a tuner of its own."""
    folders = (tmp_path / str(number) for number in count())

    def tuned(config, checkpoint=None, *, number=1):
        out = next(folders)
        metrics = Tuner(config, first, seed=7).tune(checkpoint or first, out, rows, number)
        return describe(out, base=first.folder if config.lora_rank else None), metrics

    return tuned


def likely(checkpoint, rows):
    """The log-probability of what was sampled."""
    from agl_sft._student import load

    model = load(checkpoint, LORA if checkpoint.base else FULL, seed=0).model.eval()
    total = 0.0
    with torch.no_grad():
        for row in rows:
            log_pi = model(input_ids=torch.tensor([row.token_ids])).logits[0].log_softmax(-1)
            total += sum(log_pi[place - 1, row.token_ids[place]].item() for place in range(2, 5))
    return total


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(FULL, id="full"),
        pytest.param(LORA, id="lora", marks=pytest.mark.slow),
        pytest.param(replace(FULL, choose="weighted"), id="weighted", marks=pytest.mark.slow),
    ],
)
def test_the_same_round_gives_the_same_bytes(tune, config):
    """Twice from the same checkpoint, whoever else draws in between; and another round gives others."""
    once, _ = tune(config)
    torch.rand(3)

    assert tune(config)[0].digest == once.digest
    assert tune(config, number=2)[0].digest != once.digest


@pytest.mark.parametrize(
    "config", [pytest.param(FULL, id="full", marks=pytest.mark.slow), pytest.param(LORA, id="lora")]
)
def test_what_was_chosen_is_said_again(tune, first, rows, config):
    """More likely after each round, the second of which begins where the first ended."""
    second, metrics = tune(config)
    third, _ = tune(config, second, number=2)

    assert likely(first, rows) < likely(second, rows) < likely(third, rows)
    assert metrics["train/steps"] == 1
    assert metrics["train/rows"] == 4
    assert metrics["train/tokens"] == 12


def test_a_checkpoint_is_a_whole_model_as_it_came(tune, first):
    """Weights, and all that lay beside them, to the letter; where it comes from is in it, an optimiser is not."""
    made, _ = tune(FULL)

    names = {file.name for file in first.folder.iterdir()} | {"state.json"}
    assert {file.name for file in made.folder.iterdir()} == names
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (made.folder / name).read_text() == (first.folder / name).read_text()
    state = json.loads((made.folder / "state.json").read_text())
    assert state["parent"] == first.digest
    assert state["round"] == 1


def test_adapters_leave_the_base_alone(tune, first):
    """A LoRA checkpoint is a peft folder: small, on the model that it was made for."""
    made, _ = tune(LORA)

    names = {"adapter_config.json", "adapter_model.safetensors", "state.json"}
    assert {file.name for file in made.folder.iterdir()} == names
    facts = json.loads((made.folder / "adapter_config.json").read_text())
    assert facts["base_model_name_or_path"] == str(first.folder)
    assert all("lora" in name for name in load_file(made.folder / "adapter_model.safetensors"))


def test_a_rollout_weighs_the_same_however_it_was_cut(make_row):
    """Weights are of tokens: two halves of a row have those of the whole."""
    whole = [make_row("a", (1,), 2, 3, earned=0.9), make_row("b", (1,), 2, 3, 4, 5, earned=0.3)]
    cut = [*whole[:1], make_row("b", (1,), 2, earned=0.3), make_row("b", (1, 2), 3, 4, 5, earned=0.3)]

    one, other = examples(whole, weighted=True), examples(cut, weighted=True)

    assert [example.weight for example in one] == pytest.approx([1.8, 0.6])
    assert [example.weight for example in other] == pytest.approx([1.8, 0.6, 0.6])


def test_what_all_earned_alike_weighs_one(make_row):
    """To the bit: it is the loss without weights."""
    rows = [make_row(name, (1,), 2, earned=0.7) for name in "abc"]

    assert examples(rows, weighted=True) == examples(rows)


def test_tokens_of_another_model_are_refused(first, make_row, tmp_path):
    """Before anything is trained, and with a code."""
    with pytest.raises(BadValue, match="another tokenizer"):
        Tuner(FULL, first).tune(first, tmp_path / "out", [make_row("a", (1,), 50000)], 1)

    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_gpu_that_is_not_there_is_refused(first):
    """Before anything is sampled."""
    with pytest.raises(BadValue, match="no GPU"):
        Tuner(replace(FULL, device="cuda"), first)


def copied(folder, to, **facts):
    """The model with other facts about it."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | facts))
    return to


def test_a_model_that_cannot_be_tuned_as_asked_is_refused_with_the_way_to(first, tune, tmp_path):
    """Before anything is sampled: each would fail in the first round else."""
    bare = copied(first.folder, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    eyes = tmp_path / "eyes"
    eyes.mkdir()
    (eyes / "config.json").write_text('{"model_type": "vit"}')
    (tmp_path / "empty").mkdir()
    packed = copied(first.folder, tmp_path / "packed", quantization_config={"quant_method": "bitsandbytes"})

    for folder, why in [(bare, "no weights"), (eyes, "writes no text"), (tmp_path / "empty", "opens no model"),
                        (packed, "lora_rank=16")]:  # fmt: skip
        with pytest.raises(NotTunable, match=why):
            Tuner(FULL, describe(folder))
    with pytest.raises(NotTunable, match="adapters of rank 2: go on with them by lora_rank=2"):
        Tuner(FULL, tune(LORA)[0])


def test_a_trl_that_reads_rows_otherwise_is_refused(first, monkeypatch):
    """It would learn prompts, too, and say nothing."""
    monkeypatch.setattr("trl.__version__", "1.15.2")

    with pytest.raises(MissingExtra, match=r"TRL 1.16 or later \(1.15.2 is there\)"):
        Tuner(FULL, first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bfloat16"},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": True, "lora_rank": 2},
        {"schedule": "cosine", "warmup": 0.5, "epochs": 3},
        {"weight_decay": 0.1, "grad_clip": 0.0, "rows_per_pass": 3},
    ],
    ids=str,
)
def test_with_every_setting_it_learns(tune, first, rows, options):
    """One after the other in one process: none of them stays."""
    config = replace(FULL, **options)

    assert likely(tune(config)[0], rows) > likely(first, rows)


@pytest.mark.slow
def test_a_model_with_dropout_learns_without(tune, first, rows, tmp_path):
    """Nothing is left out unless it is asked for: the loss of the first step is that of the model as it answers."""
    leaky = describe(copied(first.folder, tmp_path / "leaky", attention_dropout=0.5))

    assert tune(FULL, leaky)[1]["train/loss_first"] == pytest.approx(-likely(first, rows) / 12, rel=1e-5)
