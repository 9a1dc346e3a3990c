"""The model that learns, with its optimiser: from a checkpoint's folder, and into another. No pickles either way."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agl_core.engine import Checkpoint
from agl_grpo._config import GrpoConfig

__all__ = ["STATE", "Student", "load", "load_frozen", "save"]

STATE = "state.json"
_OPTIMIZER = "optimizer.safetensors"
_ADAPTER = "adapter_model.safetensors"
_ADAPTER_CONFIG = "adapter_config.json"
_MOMENTS = ("exp_avg", "exp_avg_sq")
_NOT_COPIED = {STATE, "config.json", "manifest.json"}  # of the new checkpoint, each has its own
_WEIGHTS = {".bin", ".gguf", ".h5", ".msgpack", ".onnx", ".pt", ".pth", ".safetensors"}


@dataclass(slots=True, eq=False)
class Student:
    """What an update changes."""

    model: Any
    """Of transformers or peft, neither of which types its models."""
    optimizer: torch.optim.AdamW
    base: Path | None
    """Folder of the model below the adapters; none when the weights themselves are trained."""
    optimizer_steps: int

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """Parameters by name, those that an optimiser step moves."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}


def load(checkpoint: Checkpoint, config: GrpoConfig, *, device: torch.device, seed: int) -> Student:
    """The student as `save` left it; from a folder without optimiser files, one at its first step."""
    model, base = _with_adapters(checkpoint, config, seed) if config.lora_rank else (_whole(checkpoint.folder), None)
    model = _owned(model).to(device).eval()  # no dropout: the ratio of a fresh rollout is 1
    optimizer = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad],
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    student = Student(model, optimizer, base, optimizer_steps=0)
    if (checkpoint.folder / _OPTIMIZER).exists():
        _restore(student, checkpoint.folder)
    return student


def load_frozen(checkpoint: Checkpoint, *, device: torch.device) -> Any:
    """The model of a checkpoint, to be asked and never changed."""
    model = _whole(checkpoint.base or checkpoint.folder)
    if (checkpoint.folder / _ADAPTER_CONFIG).exists():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, checkpoint.folder)
    return _owned(model).to(device).eval().requires_grad_(requires_grad=False)


def save(student: Student, out: Path, *, source: Path, state: dict[str, Any]) -> None:
    """Everything the next process needs. Equal tensors and state give equal bytes."""
    out.mkdir(parents=True, exist_ok=True)
    with _disk_errors():
        if student.base is None:
            _save_whole(student.model, out, source)
        else:
            _save_adapters(student.model, out, student.base)
        moments = {
            f"{moment}.{name}": student.optimizer.state[weight][moment].contiguous()
            for name, weight in student.trained.items()
            for moment in _MOMENTS
            if weight in student.optimizer.state
        }
        save_file(moments, out / _OPTIMIZER)
        _write_json(out / STATE, {**state, "optimizer_steps": student.optimizer_steps})


def _restore(student: Student, folder: Path) -> None:
    moments = load_file(folder / _OPTIMIZER)
    student.optimizer_steps = json.loads((folder / STATE).read_text())["optimizer_steps"]
    state = {
        index: {
            "step": torch.tensor(float(student.optimizer_steps)),
            **{moment: moments[f"{moment}.{name}"].clone() for moment in _MOMENTS},
        }
        for index, name in enumerate(student.trained)
        if f"{_MOMENTS[0]}.{name}" in moments
    }
    student.optimizer.load_state_dict({"state": state, "param_groups": student.optimizer.state_dict()["param_groups"]})


def _whole(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM, GenerationConfig

    with _no_progress_bars():
        # float32: in half precision an update of 1e-6 of a weight is rounded away.
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    # A file of the folder's own is copied by `save`; some that are in use would not be written again.
    model.generation_config = GenerationConfig.from_model_config(model.config)
    return model


def _with_adapters(checkpoint: Checkpoint, config: GrpoConfig, seed: int) -> tuple[Any, Path]:
    from peft import LoraConfig, PeftModel, get_peft_model

    base = checkpoint.base or checkpoint.folder
    model = _whole(base)
    if (checkpoint.folder / _ADAPTER_CONFIG).exists():
        return PeftModel.from_pretrained(model, checkpoint.folder, is_trainable=True), base
    adapters = LoraConfig(
        task_type="CAUSAL_LM", r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, adapters), base


def _owned(model: Any) -> Any:
    # What was read lies in a mapped file, at any address; matrix kernels choose by alignment, and then the same update
    # would give other bits from memory than from disk.
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


def _write_json(file: Path, facts: dict[str, Any]) -> None:
    file.write_text(json.dumps(facts, sort_keys=True, indent=2, default=sorted) + "\n")


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except SafetensorError as error:
        # It tells of a full disk in words; the run that asked for the checkpoint looks for the number.
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


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
