"""Puts a checkpoint into a model that is being served: a whole model in place, an adapter beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import linear

from agl_core.engine import Checkpoint
from agl_core.errors import EngineFailed, ModelNotFound

__all__ = ["Weights"]

_PREFIX = "base_model.model."


class Weights:
    """The weights of one model. What can fail is done before anything changes; one load at a time."""

    def __init__(self, model: Any, folder: Path, *, url: str) -> None:
        self._model = model
        self._folder = folder.resolve()
        self._url = url
        self._whole = self._folder
        """The folder whose whole model is in place."""
        self._hooks: list[Any] = []

    def read(self, checkpoint: Checkpoint) -> Callable[[], None]:
        """Read and check the files; what comes back puts them in place, quickly."""
        folder = checkpoint.folder.resolve()
        if not (folder / "adapter_config.json").is_file():
            tensors = self._tensors(folder)
            return lambda: self._place(folder, tensors, {})
        adapter = self._adapter(folder)
        base = checkpoint.base.resolve() if checkpoint.base else self._folder
        tensors = {} if base == self._whole else self._tensors(base)
        return lambda: self._place(base, tensors, adapter)

    def _place(self, whole: Path, tensors: Mapping[str, Tensor], adapter: Mapping[str, _LowRank]) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = [self._model.get_submodule(name).register_forward_hook(low) for name, low in adapter.items()]
        own = self._model.state_dict()
        with torch.no_grad():
            for name, tensor in tensors.items():
                own[name].copy_(tensor)
        self._whole = whole

    def _tensors(self, folder: Path) -> Mapping[str, Tensor]:
        """Every tensor of a whole model, by the name it has in ours."""
        files = sorted(folder.glob("model*.safetensors"))
        if not files:
            raise ModelNotFound(str(folder), why="it holds no model*.safetensors")
        tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
        own = self._model.state_dict()
        # Tied weights are stored once and known by two names.
        stored = {own[name].data_ptr() for name in tensors if name in own}
        is_ours = tensors.keys() <= own.keys() and all(tensor.data_ptr() in stored for tensor in own.values())
        if not is_ours:
            tensors = self._converted(folder)
        for name, tensor in tensors.items():
            if tensor.shape != own[name].shape:
                raise self._refused(folder, f"{name} is {tuple(tensor.shape)}, not {tuple(own[name].shape)}")
        return tensors

    def _converted(self, folder: Path) -> dict[str, Tensor]:
        """The same through transformers, which knows the names that other releases gave."""
        model, report = type(self._model).from_pretrained(
            folder, dtype=self._model.dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        if missing := sorted(report["missing_keys"]):
            raise self._refused(folder, f"it lacks {len(missing)} tensors, {missing[0]} among them")
        tensors: dict[str, Tensor] = model.state_dict()
        return tensors

    def _adapter(self, folder: Path) -> Mapping[str, _LowRank]:
        """LoRA, by the module it stands beside."""
        config = msgspec.json.decode((folder / "adapter_config.json").read_bytes())
        plain = {"peft_type": "LORA", "bias": "none", "use_dora": False, "alpha_pattern": {}, "modules_to_save": None}
        for key, value in plain.items():
            if (found := config.get(key, value)) != value and (found or value):
                raise self._refused(folder, f"{key} is {found!r}: only plain LoRA is served")
        tensors = load_file(folder / "adapter_model.safetensors", device=str(self._model.device))
        names = {name.removeprefix(_PREFIX).rpartition(".lora_")[0] for name in tensors}
        adapter = {}
        for name in sorted(names):
            try:
                self._model.get_submodule(name)
                down, up = (tensors.pop(f"{_PREFIX}{name}.lora_{part}.weight") for part in "AB")
            except (AttributeError, KeyError) as error:
                raise self._refused(folder, f"{name or 'an unnamed tensor'} has no plain LoRA pair here") from error
            rank = down.shape[0]
            scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
            adapter[name] = _LowRank(down, up * scale)
        if tensors:
            raise self._refused(folder, f"{min(tensors)} is not part of a plain LoRA pair")
        return adapter

    def _refused(self, folder: Path, why: str) -> EngineFailed:
        return EngineFailed(self._url, why=f"checkpoint {folder} does not fit: {why}")


class _LowRank:
    """Adds `up @ down @ x` to a module's output.

    Beside the module and not merged into it: in bfloat16 a merged step of training is smaller than the rounding of
    the weight it is added to, and the policy that speaks would not be the one that was trained.
    """

    def __init__(self, down: Tensor, up: Tensor) -> None:
        self._down = down
        self._up = up

    def __call__(self, _module: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        low = linear(linear(args[0].to(self._down.dtype), self._down), self._up)
        return output + low.to(output.dtype)
