"""Whether a model can be trained as asked: looked at before anything is sampled, as every sample costs something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from agl_core.engine import Checkpoint
from agl_core.errors import BadValue, NotTunable
from agl_grpo._config import GrpoConfig

__all__ = ["device_of", "insist_on_tunable"]

_ADAPTER_CONFIG = "adapter_config.json"


def insist_on_tunable(checkpoint: Checkpoint, config: GrpoConfig) -> None:
    """Raise `NotTunable` for a model that has no way to learn as `config` says, with the way that it has."""
    if not checkpoint.folder.is_dir():  # a recorded run that is gone through again has its digest, and no files
        return
    why = next(_objections(checkpoint, config), None)
    if why is not None:
        raise NotTunable(config.policy, why=why)


def device_of(config: GrpoConfig) -> torch.device:
    """Where the student lives. Raises `BadValue` for a device that this machine has not."""
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(automatic if config.device == "auto" else config.device)
        torch.empty(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise BadValue("device", config.device, why=str(error).splitlines()[0]) from None
    return device


def _objections(checkpoint: Checkpoint, config: GrpoConfig) -> Iterator[str]:
    from transformers import AutoConfig

    adapters = checkpoint.folder / _ADAPTER_CONFIG
    if adapters.exists():
        rank = json.loads(adapters.read_text()).get("r")
        if rank != config.lora_rank:
            yield f"{checkpoint.folder} holds adapters of rank {rank}, which are trained with lora_rank={rank}"
    folder = checkpoint.base or checkpoint.folder
    try:
        facts = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        yield f"{folder} holds no model that transformers opens ({str(error).splitlines()[0]})"
        return
    if not _speaks(facts):
        kind = " and ".join(facts.architectures or [type(facts).__name__])
        yield f"{folder} holds a {kind}, which is no causal language model"
    if getattr(facts, "quantization_config", None) is not None and not config.lora_rank:
        yield f"the weights in {folder} are quantised; adapters can be trained beside them, with lora_rank=16"
    if not any(next(folder.glob(pattern), None) for pattern in ("*.safetensors", "*.bin")):
        yield f"{folder} has a config.json, and no weights beside it"
    if config.lora_rank and not _has_linear_layers(facts):
        yield f"{folder} has no linear layer that adapters could be put on; lora_rank=0 trains the weights themselves"


def _speaks(facts: Any) -> bool:
    """Whether transformers has a model for it that answers, and its weights are of that one."""
    from transformers import AutoModelForCausalLM

    kinds: Any = AutoModelForCausalLM._model_mapping  # noqa: SLF001 - nothing public tells
    if type(facts) not in kinds:
        return False
    # Names changed over the years (`LLaMAForCausalLM`); what another head is called did not.
    own = kinds[type(facts)].__name__
    held: list[str] = facts.architectures or [own]
    return any(name == own or name.endswith(("ForCausalLM", "LMHeadModel")) for name in held)


def _has_linear_layers(facts: Any) -> bool:
    from transformers import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(facts)
    head = model.get_output_embeddings()
    return any(isinstance(module, nn.Linear | Conv1D) and module is not head for module in model.modules())
