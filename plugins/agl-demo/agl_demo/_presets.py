"""The two models of the demo: what each starts from, what it learns on, and with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A model and how it is trained here."""

    title: str
    warm_start: Mapping[str, Any] | None
    """Settings of the supervised part; null for a model that can speak already."""
    grpo: Mapping[str, Any]
    tasks: Mapping[str, Any]
    """Arguments of `tasks`: how many for each split, and how hard."""
    n_runners: int
    note: str = ""
    """What a reader of the numbers must know."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """Options of the engine's URL."""


PRESETS: Mapping[str, Preset] = {
    "tiny": Preset(
        title="a Llama of 0.4 million weights, born in this run",
        warm_start={},
        grpo={
            "steps": 60,
            "tasks_per_step": 16,
            "group_size": 8,
            "learning_rate": 3e-4,
            "learning_rate_decay": 0.9,
            "minibatch": 32,
            "normalise_std": False,
            "max_tokens": 48,
            "eval_every": 20,
        },
        tasks={"train": 1024, "val": 32, "test": 200},
        n_runners=128,
        engine={"threads": 1},
    ),
    "smollm2": Preset(
        title="SmolLM2-135M-Instruct, with LoRA",
        warm_start=None,
        grpo={
            "steps": 12,
            "tasks_per_step": 4,
            "group_size": 8,
            "learning_rate": 5e-4,
            "normalise_std": False,
            "lora_rank": 8,
            "max_tokens": 32,
            "eval_every": 0,
        },
        tasks={"train": 64, "val": 8, "test": 40, "easy": True},
        note="graded: 1 for the right answer, else 0.2 for a tool call that works and 0.2 more if its result was right",
        n_runners=32,
        engine={"dtype": "bfloat16"},
    ),
}
