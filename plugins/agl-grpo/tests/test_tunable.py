"""What cannot learn is refused before anything is sampled; a disk that is full is told as what it is."""

from __future__ import annotations

import errno
import json
import shutil

import pytest
from agl_grpo import GrpoConfig
from agl_grpo._learner import Learner
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from agl_core.errors import BadValue, NotTunable
from agl_core.run import describe

LORA = GrpoConfig(lora_rank=2)
SMALL = {
    "vocab_size": 16,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
}


class TableConfig(PreTrainedConfig):
    """Of a model that is a table."""

    model_type = "agl_table"
    vocab_size = 16
    hidden_size = 4


class TableForCausalLM(PreTrainedModel):
    """It looks up what follows a token, and has nothing in between."""

    config_class = TableConfig

    def __init__(self, config):
        super().__init__(config)
        self.table = nn.Embedding(config.vocab_size, config.hidden_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_output_embeddings(self):
        """The only product."""
        return self.lm_head

    def forward(self, input_ids, **_):
        """Of no use here."""
        return self.lm_head(self.table(input_ids))


@pytest.fixture
def folder(tmp_path):
    """An empty one, for a model."""
    made = tmp_path / "model"
    made.mkdir()
    return made


def refused(folder, config=GrpoConfig()):  # noqa: B008 - it is frozen
    """Why a learner will not begin there."""
    with pytest.raises(NotTunable) as caught:
        Learner(config, reference=describe(folder))
    return str(caught.value)


def test_a_folder_without_a_model_is_refused(folder):
    """By the name of the policy, and of the folder."""
    (folder / "notes.txt").write_text("nothing to see")

    why = refused(folder)

    assert why.startswith(f"'policy' cannot be tuned: {folder} holds no model that transformers opens")


@pytest.mark.parametrize(
    "model",
    [lambda: BertForMaskedLM(BertConfig(**SMALL)), lambda: LlamaForSequenceClassification(LlamaConfig(**SMALL))],
    ids=["fills gaps", "sorts"],
)
def test_a_model_that_does_not_speak_is_refused(folder, model):
    """Transformers would open it as one that does, with a head of random weights."""
    model = model()
    model.save_pretrained(folder)

    assert f"holds a {type(model).__name__}, which is no causal language model" in refused(folder)


def test_a_model_without_weights_is_refused(folder, first):
    """Its configuration alone is there, as where a download was broken off."""
    shutil.copy(first.folder / "config.json", folder)

    assert "no weights beside it" in refused(folder)


def test_quantised_weights_are_not_trained_themselves(folder, first):
    """They are no numbers that a gradient could move; adapters beside them can be."""
    shutil.copytree(first.folder, folder, dirs_exist_ok=True)
    facts = json.loads((folder / "config.json").read_text())
    quantised = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps({**facts, "quantization_config": quantised}))

    assert "adapters can be trained beside them, with lora_rank=16" in refused(folder)
    Learner(LORA, reference=describe(folder))


def test_adapters_want_a_linear_layer(folder):
    """All weights of such a model can be trained."""
    AutoConfig.register("agl_table", TableConfig, exist_ok=True)
    AutoModelForCausalLM.register(TableConfig, TableForCausalLM, exist_ok=True)
    TableForCausalLM(TableConfig()).save_pretrained(folder)

    assert "no linear layer" in refused(folder, LORA)
    Learner(GrpoConfig(), reference=describe(folder))


@pytest.mark.parametrize("rank", [0, 4])
def test_adapters_are_trained_at_their_rank(first, make_row, tmp_path, rank):
    """Another would be taken for it silently; full weights are not what lies there."""
    out = tmp_path / "adapters"
    Learner(LORA, reference=first).update(first, out, [make_row("a", (2,), 3)], {"a": 1}, 1)

    with pytest.raises(NotTunable, match="adapters of rank 2, which are trained with lora_rank=2"):
        Learner(GrpoConfig(lora_rank=rank), reference=describe(out, base=first.folder))


@pytest.mark.parametrize("device", ["tpu9", "meta9x", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(first, device):
    """By its name, and not at the first update."""
    with pytest.raises(BadValue, match="device"):
        Learner(GrpoConfig(device=device), reference=first)


def test_a_full_disk_is_an_error_of_the_disk(first, make_row, tmp_path, monkeypatch):
    """What writes weights says so in words alone; the number tells a run what it is."""

    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("agl_grpo._student.save_file", full)

    with pytest.raises(OSError, match="No space left") as caught:
        Learner(GrpoConfig(), reference=first).update(first, tmp_path / "out", [make_row("a", (2,), 3)], {"a": 1}, 1)

    assert caught.value.errno == errno.ENOSPC


def test_what_could_not_be_written_is_learnt_again(first, make_row, tmp_path, monkeypatch):
    """Memory is no further than the files: the same bytes come of a second try."""
    rows, learner = [make_row("a", (2,), 3, earned=0.5)], Learner(GrpoConfig(learning_rate=1e-3), reference=first)
    with monkeypatch.context() as broken:
        broken.setattr("agl_grpo._student.save_file", _raise)
        with pytest.raises(OSError, match="no room"):
            learner.update(first, tmp_path / "broken", rows, {"a": 1}, 1)

    learner.update(first, tmp_path / "again", rows, {"a": 1}, 1)
    Learner(GrpoConfig(learning_rate=1e-3), reference=first).update(first, tmp_path / "whole", rows, {"a": 1}, 1)

    assert describe(tmp_path / "again").digest == describe(tmp_path / "whole").digest


def _raise(*_, **__):
    raise OSError(errno.ENOSPC, "no room")
