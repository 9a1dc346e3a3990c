"""GRPO on a small random model behind a scripted engine: what several tests train."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import agl_core as agl
from agl_core.engine import Endpoint
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.testing import ScriptedEngine

__all__ = ["NEEDED", "small_model", "trainer"]

NEEDED = ("torch", "transformers", "agl_grpo", "agl_triplets", "agl_rewards")


class _Engine(ScriptedEngine):
    """Says what it is told to, and that a small model lies in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__("4")
        self.folder = folder

    async def start(self) -> Endpoint:
        """Listen, and say where the weights are."""
        endpoint = await super().start()
        return Endpoint(url=endpoint.url, model=endpoint.model, max_len=endpoint.max_len, folder=self.folder)


def small_model(folder: Path) -> Path:
    """A Llama of twenty thousand random weights, over the tokens of a scripted model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def trainer(model: Path, log: Path, *, grpo: dict[str, Any], **options: Any) -> agl.Trainer:
    """Of one task a step, tried twice; with no plugin but those it needs."""
    plugins = Plugins.load()
    for name in ("triplets", "rewards", "grpo"):
        plugins.register(import_module(f"agl_{name}"), name=name)

    class Opens:
        @hookimpl
        def agl_open_engine(self, url: str) -> Any:
            return _Engine(model) if url == "scripted:" else None

    plugins.register(Opens(), name="scripted")
    usual = {"tasks_per_step": 1, "group_size": 2, "learning_rate": 1e-3, "device": "cpu"}
    return agl.Trainer(
        algorithm=plugins.algorithm("grpo")(**{**usual, **grpo}), models={"policy": "scripted:"}, store=str(log),
        plugins=plugins, preflight=False, **options,
    )  # fmt: skip
