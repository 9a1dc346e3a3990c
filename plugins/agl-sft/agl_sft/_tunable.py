"""Whether a model can be tuned as asked: looked at before anything is sampled, as every sample costs something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agl_core.engine import Checkpoint
from agl_core.errors import NotTunable
from agl_sft._config import SftConfig

__all__ = ["insist_on_tunable"]

_WEIGHTS = ("*.safetensors", "*.bin")


def insist_on_tunable(checkpoint: Checkpoint, config: SftConfig) -> None:
    """Raise `NotTunable` for a model that TRL could not tune as `config` says."""
    if not checkpoint.folder.is_dir():  # a recorded run that is gone through again has its digest, and no files
        return
    why = next(_objections(checkpoint, config), None)
    if why is not None:
        raise NotTunable(config.policy, why=why)


def _objections(checkpoint: Checkpoint, config: SftConfig) -> Iterator[str]:
    from transformers import AutoConfig, AutoModelForCausalLM

    adapters = checkpoint.folder / "adapter_config.json"
    if adapters.exists() and (rank := json.loads(adapters.read_text()).get("r")) != config.lora_rank:
        yield f"{checkpoint.folder} holds adapters of rank {rank}: go on with them by lora_rank={rank}"
    folder = checkpoint.base or checkpoint.folder
    try:
        facts: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        yield f"transformers opens no model in {folder} ({str(error).splitlines()[0]})"
        return
    if type(facts) not in AutoModelForCausalLM._model_mapping:  # noqa: SLF001 - nothing public tells
        yield f"the model in {folder}, a {type(facts).__name__.removesuffix('Config')}, writes no text"
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHTS):
        yield f"there are no weights in {folder}"
    if getattr(facts, "quantization_config", None) is not None and not config.lora_rank:
        yield f"the weights in {folder} are quantised: tune adapters beside them, by lora_rank=16"
