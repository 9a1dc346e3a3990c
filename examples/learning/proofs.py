"""The three proofs: which agent learns which tasks, how, and what it is to gain at least."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import agl_core as agl
from examples.learning import arithmetic, critic, functions

if TYPE_CHECKING:
    from agl_core.record import Record
    from agl_core.trainer import RunSummary

__all__ = ["PROOFS", "Proof", "prove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """An agent, its tasks, and how it learns."""

    title: str
    agent: str
    tasks: Callable[..., Mapping[Any, list[dict[str, Any]]]]
    counts: Mapping[str, int]
    """How many tasks each split has, where there are so many."""
    algorithm: Mapping[str, Any]
    short: Mapping[str, Any]
    """Other settings with which it runs within a minute, and proves that it runs."""
    sampling: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"val": {"temperature": 0}, "test": {"temperature": 0}}
    )
    """Measured is what the policy finds likeliest, so that no dice are in it."""
    prompt: str | None = None
    """Of the resource `prompt_template`, where that is what learns."""


_LORA = {"lora_rank": 8, "learning_rate": 5e-4}

PROOFS: Mapping[str, Proof] = {
    "grpo": Proof(
        title="GRPO on reasoning-gym's basic_arithmetic",
        agent="examples.learning.arithmetic:arithmetic_agent",
        tasks=arithmetic.tasks,
        counts={"train": 210, "val": 36, "test": 96},
        algorithm={
            **_LORA,
            "steps": 16,
            "tasks_per_step": 4,
            "group_size": 8,
            "temperature": 0.7,
            "max_tokens": 16,
            "normalise_std": False,
            "learning_rate_decay": 0.5,
            "eval_every": 4,
        },
        short={"steps": 2, "tasks_per_step": 2, "group_size": 4, "eval_every": 2},
    ),
    "sft": Proof(
        title="SFT on the best of its own calls of BFCL's simple_python",
        agent="examples.learning.functions:function_agent",
        tasks=functions.tasks,
        counts={"train": 150, "val": 24, "test": 80},
        algorithm={
            **_LORA,
            "rounds": 3,
            "tasks_per_round": 50,
            "samples": 4,
            "temperature": 0.7,
            "max_tokens": 40,
            "choose": "best_of_n",
            "at_least": 0.4,
            "epochs": 3,
            "precision": "bfloat16",
        },
        short={"rounds": 1, "tasks_per_round": 4, "samples": 2, "at_least": 0.0, "epochs": 1},
    ),
    "apo": Proof(
        title="APO on reasoning-gym's basic_arithmetic, with a double as critic",
        agent="examples.learning.arithmetic:prompted_agent",
        tasks=arithmetic.tasks,
        counts={"train": 32, "val": 24, "test": 64},
        algorithm={
            "gradient_model": "critic",
            "apply_edit_model": "critic",
            "beam_rounds": 2,
            "beam_width": 2,
            "branch_factor": 2,
            "gradient_batch_size": 2,
            "val_batch_size": 12,
        },
        short={"beam_rounds": 1, "beam_width": 1, "branch_factor": 2, "val_batch_size": 4},
        sampling={mode: {"temperature": 0, "max_tokens": 16} for mode in ("train", "val", "test")},
        prompt=critic.BASE,
    ),
}


def prove(
    name: str,
    *,
    seed: int,
    log: str,
    heard: Callable[[Sequence[Record]], None],
    is_short: bool = False,
) -> RunSummary:
    """From the model as it comes to the sealed test split."""
    from agl_demo._smollm2 import folder

    proof = PROOFS[name]
    counts = {split: min(count, 8) for split, count in proof.counts.items()} if is_short else proof.counts
    splits = proof.tasks(seed, **counts)
    told = {**proof.algorithm, **(proof.short if is_short else {})}
    models = {"policy": f"transformers:{folder()}?dtype=bfloat16"}
    resources: dict[str, Any] = {}
    with ExitStack() as doubles:
        if proof.prompt is not None:
            models["critic"] = f"{doubles.enter_context(critic.critic()).url}#critic"
            resources["prompt_template"] = agl.PromptTemplate(template=proof.prompt, engine="f-string")
        trainer = agl.Trainer(
            algorithm={"name": name, **told},
            models=models,
            initial_resources=resources,
            sampling=proof.sampling,
            store=log,
            n_runners=48,
            seed=seed,
            on_records=heard,
        )
        return trainer.fit(proof.agent, splits["train"], val_dataset=splits["val"], test_dataset=splits["test"])
