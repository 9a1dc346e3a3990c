"""The hyper-parameters of rejection-sampling fine-tuning, each a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from agl_core.errors import BadValue
from agl_sft._chosen import Chosen, Rule

__all__ = ["SftConfig"]

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
Schedule = Literal["constant", "linear", "cosine"]

_AT_LEAST = {
    "rounds": 1, "samples": 1, "tasks_per_round": 0, "max_tokens": 1, "max_length": 2, "epochs": 1, "batch_size": 1,
    "rows_per_pass": 1, "eval_every": 0, "lora_rank": 0, "weight_decay": 0, "grad_clip": 0,
}  # fmt: skip
_ABOVE_ZERO = ("learning_rate", "lora_alpha")
_ONE_OF = {"schedule": Schedule, "precision": Precision, "device": Device}
_SHARES = ("warmup", "lora_dropout")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftConfig:
    """What may be set."""

    policy: str = "policy"
    """Name of the policy that is trained."""
    agent: str | None = None
    """Train on the calls of this agent only; on those of all, when null."""
    rounds: int = 3
    """Times that rollouts are collected and learnt from, each time by the policy of the time before."""
    tasks_per_round: int = 0
    """Tasks of a round, drawn without repeats until all had their turn; 0 for all training tasks."""
    samples: int = 4
    """Rollouts of each task in a round."""
    temperature: float = 1.0
    """At which training and evaluation sample."""
    max_tokens: int = 256
    """Longest answer to one call."""
    from_log: str | None = None
    """Learn from the rollouts of this log instead: a path, a URL, or an export of a log. Nothing is sampled, and there
    is one round."""
    from_run: str | None = None
    """With `from_log`: from the rollouts of this run alone."""
    at: int | None = None
    """With `from_log`: from the log as it stood at this position, later rewards left out; null for as it stands."""
    reward: str = "primary"
    """Name of the reward that rollouts are chosen by: `primary`, or that of a judge."""
    choose: Rule = "best_of_n"
    """`best_of_n`: the best rollouts of each task, the earlier of equals. `threshold`: all that earned `at_least`.
    `weighted`: all that earned something, each weighing what it earned."""
    best: int = 1
    """Of `best_of_n`: so many of each task."""
    at_least: float | None = None
    """Never learn from a rollout that earned less. `threshold` cannot do without; `best_of_n` takes the best, however
    bad, without."""
    max_length: int = 2048
    """Tokens of the longest row. A longer one is left out whole, never cut."""
    epochs: int = 1
    """Passes over a round's rows."""
    batch_size: int = 8
    """Rows that share an optimiser step."""
    rows_per_pass: int = 8
    """Of them, how many go through the model at once: it bounds memory, and the loss is the same. Weighted rows go one
    by one."""
    learning_rate: float = 1e-5
    """Of AdamW, at its highest. For all weights; a LoRA takes 2e-4, a model of a million weights 1e-3."""
    schedule: Schedule = "linear"
    """How it falls in a round: not at all, in a line to 0, or in half a cosine."""
    warmup: float = 0.0
    """Share of a round's optimiser steps in which it rises from 0."""
    weight_decay: float = 0.0
    """Of AdamW."""
    grad_clip: float = 1.0
    """Longest gradient that is not shortened; 0 for any."""
    lora_rank: int = 0
    """Rank of the adapters that are trained in place of the weights; 0 trains the weights."""
    lora_alpha: int = 32
    """Adapters are scaled by this over their rank."""
    lora_dropout: float = 0.0
    """Share of what goes into the adapters that is left out in training. Of the model itself nothing is left out."""
    precision: Precision = "float32"
    """Of the products on the way; weights and optimiser are float32 either way."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, more time."""
    eval_every: int = 1
    """Evaluate on the validation split every so many rounds; 0 for never."""
    device: Device = "auto"
    """`auto` takes a GPU where there is one."""

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            self._refuse_unless(getattr(self, name) >= least, name, f"it must be {least} or more")
        for name in _ABOVE_ZERO:
            self._refuse_unless(getattr(self, name) > 0, name, "it must be above 0")
        for name in _SHARES:
            self._refuse_unless(0 <= getattr(self, name) < 1, name, "it is a share: from 0 to below 1")
        for name, known in _ONE_OF.items():
            is_known = getattr(self, name) in get_args(known)
            self._refuse_unless(is_known, name, f"it is one of {', '.join(get_args(known))}")
        why = "at 0 the samples of a task are all the same, and greedy answers are no rows"
        self._refuse_unless(self.temperature > 0, "temperature", why)
        if self.from_run is not None and self.from_log is None:
            raise BadValue("from_run", self.from_run, why="it is a run of `from_log`, and none is named")
        if self.at is not None and self.from_log is None:
            raise BadValue("at", self.at, why="it is a position in `from_log`, and none is named")
        self._refuse_unless(self.at is None or self.at >= 1, "at", "positions are counted from 1")
        Chosen(**self._chosen)  # which refuses what makes no choice

    @property
    def rows(self) -> dict[str, Any]:
        """Options of the adapter `triplets`: what keeps tokens out of RL's gradient is no reason here, for nobody
        divides by a group, or by how likely they were."""  # noqa: D205, D209 - one sentence
        return {
            "agent": self.agent,
            "min_group": 1,
            "reward": self.reward,
            "max_length": self.max_length,
            "allow_truncated_sampling": True,
            "credit": {"name": Chosen.name, **self._chosen},
        }

    @property
    def sampling(self) -> dict[str, Any]:
        """What requests leave open."""
        return {"temperature": self.temperature, "max_tokens": self.max_tokens}

    def a_round(self, tasks: int) -> int:
        """Rollouts that are collected in a round, of so many training tasks."""
        return min(self.tasks_per_round or tasks, tasks) * self.samples

    def _refuse_unless(self, is_right: bool, name: str, why: str) -> None:  # noqa: FBT001 - said where it is found out
        if not is_right:
            raise BadValue(name, getattr(self, name), why=why)

    @property
    def _chosen(self) -> dict[str, Any]:
        return {"rule": self.choose, "best": self.best, "at_least": self.at_least, "reward": self.reward}
