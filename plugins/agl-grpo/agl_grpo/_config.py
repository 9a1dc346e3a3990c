"""The hyper-parameters of GRPO, each a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agl_core.errors import BadValue

__all__ = ["GrpoConfig"]

_AT_LEAST = {
    "steps": 1, "tasks_per_step": 1, "group_size": 2, "max_tokens": 1, "epochs": 1, "tokens_per_pass": 1,
    "checkpoint_every": 1, "eval_every": 0, "minibatch": 0, "lora_rank": 0, "clip": 0, "kl": 0, "weight_decay": 0,
    "grad_clip": 0,
}  # fmt: skip
_ABOVE_ZERO = ("temperature", "learning_rate", "lora_alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoConfig:
    """What may be set. The defaults are the paper's where it names them, and those of its followers elsewhere."""

    policy: str = "policy"
    """Name of the policy that is trained."""
    agent: str | None = None
    """Train on the calls of this agent only; on those of all, when null."""
    steps: int = 40
    """Rounds of rollouts, each followed by an update."""
    tasks_per_step: int = 16
    """Questions q in a round."""
    group_size: int = 8
    """G, attempts at each of them: what an attempt is compared with."""
    temperature: float = 1.0
    """At which training and evaluation sample; the loss scales its logits alike."""
    max_tokens: int = 256
    """Longest answer to one call."""
    learning_rate: float = 1e-6
    """Of AdamW. For all weights of a large model; a LoRA takes 1e-4, a model of a million weights 1e-3."""
    learning_rate_decay: float = 0.0
    """Share of the learning rate that is gone by the last step; it falls in a line. AdamW takes steps of one size
    however small the gradient, so without decay the last rounds, where groups mostly agree, may shake the policy."""
    beta2: float = 0.999
    """Of AdamW: how long it remembers the size of gradients. A short run learns faster with 0.95."""
    clip: float = 0.2
    """Epsilon: how far from 1 the ratio of new to old probability still pays."""
    kl: float = 0.0
    """Beta, weight of the divergence from the first checkpoint; 0 keeps no reference. The paper has 0.04."""
    credit: str | Mapping[str, Any] = "group_relative"
    """What a call earns, and each token of it: a rule of the adapter `rewards`, or its options, such as
    {"rule": "discounted", "gamma": 0.9}; with a `name` among them, those of another credit adapter."""
    normalise_std: bool = True
    """Of `group_relative`: divide by the group's standard deviation; without it, hard and easy tasks weigh less."""
    epochs: int = 1
    """Mu, passes over each round's rows."""
    minibatch: int = 0
    """Rollouts that share an optimiser step; 0 for the whole round."""
    weight_decay: float = 0.0
    """Of AdamW."""
    grad_clip: float = 1.0
    """Longest gradient that is not shortened; 0 for any."""
    lora_rank: int = 0
    """Rank of the adapters that are trained in place of the weights; 0 trains the weights."""
    lora_alpha: int = 32
    """Adapters are scaled by this over their rank."""
    tokens_per_pass: int = 4096
    """Tokens that go through the model at once, padding included: it bounds memory, and the loss is the same."""
    checkpoint_every: int = 10
    """Keep the files of every so-many-th step; those between are made again from their rows when needed."""
    eval_every: int = 10
    """Evaluate on the validation split every so many steps; 0 for never."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, ...; `auto` takes a GPU where there is one."""

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            if not getattr(self, name) >= least:  # not `<`, which NaN passes
                raise BadValue(name, getattr(self, name), why=f"it must be {least} or more")
        for name in _ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise BadValue(name, getattr(self, name), why="it must be above 0")
        if not 0 <= self.learning_rate_decay <= 1:
            raise BadValue("learning_rate_decay", self.learning_rate_decay, why="it is a share: from 0 to 1")
        if not 0 <= self.beta2 < 1:
            raise BadValue("beta2", self.beta2, why="it must be from 0 to below 1")

    @property
    def crediting(self) -> dict[str, Any]:
        """Name and options of the adapter that assigns credit."""
        given = {"rule": self.credit} if isinstance(self.credit, str) else dict(self.credit)
        if given.get("name", "rewards") != "rewards":
            return given
        told = {"name": "rewards", "rule": "group_relative", **given}
        return {"normalise_std": self.normalise_std, **told} if told["rule"] == "group_relative" else told

    def learning_rate_at(self, step: int) -> float:
        """Of a step, the first being 1."""
        return self.learning_rate * (1 - self.learning_rate_decay * (step - 1) / self.steps)
