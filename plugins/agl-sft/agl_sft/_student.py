"""The model that is tuned: from a checkpoint's folder, and into another. No pickles either way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from agl_core.engine import Checkpoint
from agl_sft._config import SftConfig
from agl_sft._quiet import quiet

__all__ = ["Student", "load", "save"]

_STATE = "state.json"
_ADAPTER = "adapter_model.safetensors"
_ADAPTER_CONFIG = "adapter_config.json"
_NOT_COPIED = {_STATE, "config.json", "manifest.json"}  # of the new checkpoint, each has its own
_WEIGHTS = {".bin", ".gguf", ".h5", ".msgpack", ".onnx", ".pt", ".pth", ".safetensors"}
_FUNCTIONAL_DROPOUT = "attention_dropout"
"""Where attention keeps its share: it is no module."""


@dataclass(slots=True, eq=False)
class Student:
    """What a round changes."""

    model: Any
    """Of transformers or peft, neither of which types its models."""
    base: Path | None
    """Folder of the model below the adapters; none when the weights themselves are trained."""


def load(checkpoint: Checkpoint, config: SftConfig, *, seed: int) -> Student:
    """The model as the checkpoint has it; with adapters, its own ones, or such as change nothing yet."""
    if config.lora_rank:
        with quiet():
            model, base = _with_adapters(checkpoint, config, seed)
        return Student(_owned(model), base)
    return Student(_owned(_whole(checkpoint.folder)), None)


def save(student: Student, out: Path, *, source: Path, state: Mapping[str, Any]) -> None:
    """A folder that engines and transformers, or peft, open. Equal tensors and state give equal bytes."""
    out.mkdir(parents=True, exist_ok=True)
    if student.base is None:
        _save_whole(student.model, out, source)
    else:
        _save_adapters(student.model, out, student.base)
    _write_json(out / _STATE, state)


def _whole(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM, GenerationConfig

    with _no_progress_bars():
        # float32: in half precision an update of 1e-6 of a weight is rounded away.
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    # A file of the folder's own is copied by `save`; some that are in use would not be written again.
    model.generation_config = GenerationConfig.from_model_config(model.config)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, _FUNCTIONAL_DROPOUT, None), float):
            setattr(module, _FUNCTIONAL_DROPOUT, 0.0)
    return model


def _with_adapters(checkpoint: Checkpoint, config: SftConfig, seed: int) -> tuple[Any, Path]:
    from peft import LoraConfig, PeftModel, get_peft_model

    base = checkpoint.base or checkpoint.folder
    model = _whole(base)
    if (checkpoint.folder / _ADAPTER_CONFIG).exists():
        return PeftModel.from_pretrained(model, checkpoint.folder, is_trainable=True), base
    adapters = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, adapters), base


def _owned(model: Any) -> Any:
    # What was read lies in a mapped file, at any address; matrix kernels choose by alignment, and then the same update
    # would give other bits from one process to the next.
    for weight in model.parameters():
        weight.data = weight.data.clone()
    return model


def _save_whole(model: Any, out: Path, source: Path) -> None:
    with _no_progress_bars():
        model.save_pretrained(out)
    for file in source.iterdir():
        is_weights = file.suffix in _WEIGHTS or file.name.endswith(".index.json")
        if file.is_file() and not is_weights and file.name not in _NOT_COPIED:
            shutil.copyfile(file, out / file.name)


def _save_adapters(model: Any, out: Path, base: Path) -> None:
    from peft import get_peft_model_state_dict

    tensors: dict[str, Tensor] = get_peft_model_state_dict(model)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out / _ADAPTER, {"format": "pt"})
    facts = {**model.active_peft_config.to_dict(), "base_model_name_or_path": str(base), "inference_mode": True}
    # By hand: peft writes sets in the order of their hashes, which differs between processes.
    _write_json(out / _ADAPTER_CONFIG, facts)


def _write_json(file: Path, facts: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(facts, sort_keys=True, indent=2, default=sorted) + "\n")


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    from transformers.utils import logging

    were_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_on:
            logging.enable_progress_bar()
