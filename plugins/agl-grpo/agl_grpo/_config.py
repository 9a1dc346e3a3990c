"""The hyper-parameters of GRPO, each a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from agl_core.errors import BadValue
from agl_grpo._aggregation import Aggregation

__all__ = ["GrpoConfig"]

Advantage = Literal["grpo", "dr_grpo", "rloo", "reinforce++", "reinforce++_baseline"]
Estimator = Literal["k1", "k2", "k3"]
ZeroVariance = Literal["count", "leave_out"]

_WHOLE = {
    "steps": 1, "tasks_per_step": 1, "group_size": 2, "max_tokens": 1, "epochs": 1, "tokens_per_pass": 1,
    "checkpoint_every": 1, "eval_every": 0, "minibatch": 0, "lora_rank": 0, "aggregation_constant": 0,
    "max_staleness": 0, "groups_in_flight": 0, "empty_steps": 0,
}  # fmt: skip
"""Counts, and the least that each may be."""
_AT_LEAST_ZERO = (
    "clip", "clip_high", "dual_clip", "kl", "is_truncation", "weight_decay", "grad_clip", "learning_rate_decay",
    "beta2",
)  # fmt: skip
_ABOVE_ZERO = ("temperature", "learning_rate", "lora_alpha")
_ONE_OF = {"advantage": Advantage, "aggregation": Aggregation, "kl_estimator": Estimator, "zero_variance": ZeroVariance}
_MAY_BE_NULL = {"clip_high", "max_staleness"}
_OF_ALL = {
    "policy", "policies", "steps", "tasks_per_step", "group_size", "groups_in_flight", "temperature", "max_tokens",
    "eval_every",
}  # fmt: skip
"""What several policies that are trained at once have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoConfig:
    """What may be set. The defaults are the paper's where it names them, and those of its followers elsewhere."""

    policy: str = "policy"
    """Name of the policy that is trained."""
    policies: Mapping[str, Mapping[str, Any]] | None = None
    """Names of several that are trained at once, each on its own calls, with what is other for it than said here, such
    as {"planner": {"learning_rate": 1e-4}, "solver": {}}; `policy` has no meaning then."""
    agent: str | None = None
    """Train on the calls of this agent only; on those of all, when null."""
    steps: int = 40
    """Rounds of rollouts, each followed by an update."""
    tasks_per_step: int = 16
    """Questions q in a round."""
    group_size: int = 8
    """G, attempts at each of them: what an attempt is compared with."""
    groups_in_flight: int = 0
    """Questions that are under way at any time, `tasks_per_step` or more: a step takes the groups that are complete
    first, and the others go on with newer weights. 0 waits for all of a round before the next."""
    empty_steps: int = 5
    """So many steps in a row without a row to learn from stop the run (`NO_USABLE_ROWS`); 0 for any number."""
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
    clip_high: float | None = None
    """Epsilon above 1, where it is another: with 0.28 rare tokens may become likelier, as in DAPO (clip-higher)."""
    dual_clip: float = 0.0
    """c above 1: the ratio from which on a token of a bad rollout pays no more; 0 for none. verl has 3."""
    recompute_old: bool = False
    """Take ratios to log-probabilities that this learner computes before its first step, and not to those recorded when
    tokens were sampled: for rows of older weights, and for an engine whose numbers differ."""
    is_truncation: float = 2.0
    """C of `recompute_old`: a token weighs min(pi_old / pi_rollout, C); 0 for one and the same weight."""
    max_staleness: int | None = None
    """Versions that a call may be behind the weights in training; older ones are dropped as `too_stale`, and stay in
    the baseline. Null for any."""
    kl: float = 0.0
    """Beta, weight of the divergence from the first checkpoint; 0 keeps no reference. The paper has 0.04."""
    kl_estimator: Estimator = "k3"
    """`k3` of the paper, never negative; `k2`, whose gradient is that of the divergence; `k1`, which only measures."""
    kl_by_ratio: bool = False
    """Weigh the divergence by rho, as DeepSeek-V3.2 (2512.02556) does: `k3` then has the gradient of the divergence."""
    credit: str | Mapping[str, Any] = "group_relative"
    """What a call earns, and each token of it: a rule of the adapter `rewards`, or its options, such as
    {"rule": "discounted", "gamma": 0.9}; with a `name` among them, those of another credit adapter."""
    advantage: Advantage = "grpo"
    """Of `group_relative`: who a rollout is compared with, and what the distance is divided by, by the paper's name."""
    normalise_std: bool = True
    """Of `grpo`: divide by the group's standard deviation; without it, which is `dr_grpo`, hard and easy tasks weigh
    less."""
    zero_variance: ZeroVariance = "count"
    """Groups in which no call earned more or less than 0: in the N that the loss is divided by, with a gradient of 0;
    or left out, so that rounds with many of them take steps as long as others, as DAPO's dynamic sampling does."""
    aggregation: Aggregation = "per_rollout_mean"
    """What weighs the same: every rollout, every token (`token_mean`), or, with `constant`, as Dr. GRPO has it, every
    token whatever the length of others."""
    aggregation_constant: int = 0
    """C of `constant`: the tokens that a rollout's loss is divided by; 0 for `max_tokens`."""
    epochs: int = 1
    """Mu, passes over each round's rows."""
    minibatch: int = 0
    """Rollouts that share an optimiser step, at most: a round is cut evenly. 0 for the whole round."""
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
        for name, value in self._numbers():
            if name in _WHOLE:
                self._insist(name, isinstance(value, int), why="it is a whole number")
                self._insist(name, value >= _WHOLE[name], why=f"it must be {_WHOLE[name]} or more")
            elif name in _ABOVE_ZERO:
                self._insist(name, value > 0, why="it must be above 0")
            else:
                self._insist(name, value >= 0, why="it must be 0 or more")
        for name, known in _ONE_OF.items():
            self._insist(name, getattr(self, name) in get_args(known), why=f"it is one of {', '.join(get_args(known))}")
        self._insist("learning_rate_decay", self.learning_rate_decay <= 1, why="it is a share: from 0 to 1")
        self._insist("beta2", self.beta2 < 1, why="it must be below 1")
        self._insist("dual_clip", not 0 < self.dual_clip <= 1, why="it must be above 1, or 0 for none")
        high = self.clips["high"]
        self._insist("clip_high", high >= self.clip, why=f"it must be no less than clip, which is {self.clip}")
        grouped = self.crediting.get("rule") == "group_relative" and self.crediting["name"] == "rewards"
        self._insist("advantage", grouped or self.advantage == "grpo", why="only `group_relative` has a use for it")
        enough = self.groups_in_flight == 0 or self.groups_in_flight >= self.tasks_per_step
        self._insist("groups_in_flight", enough, why=f"a step takes {self.tasks_per_step}: as many or more, or 0")
        assert self.trained

    def _numbers(self) -> Iterator[tuple[str, float]]:
        for name in (*_WHOLE, *_ABOVE_ZERO, *_AT_LEAST_ZERO):
            value = getattr(self, name)
            if value is None and name in _MAY_BE_NULL:
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            self._insist(name, is_number, why="it is a finite number")
            yield name, value

    def _insist(self, name: str, holds: bool, *, why: str) -> None:  # noqa: FBT001 - what it insists on
        if not holds:
            raise BadValue(name, getattr(self, name), why=why)

    @property
    def trained(self) -> tuple[GrpoConfig, ...]:
        """For each policy that is trained, what it is trained with."""
        policies: Any = self.policies  # as a command line or a file had it
        if policies is None:
            return (self,)
        self._insist("policies", isinstance(policies, Mapping) and bool(policies), why="it names one or more")
        own = {field.name for field in fields(self)} - _OF_ALL
        for name, others in policies.items():
            given = set(others) if isinstance(others, Mapping) else {str(others)}
            wrong = ", ".join(sorted(given - own))
            self._insist("policies", not wrong, why=f"of {name!r} alone nothing can be said of {wrong}")
        return tuple(replace(self, policies=None, policy=name, **others) for name, others in policies.items())

    @property
    def crediting(self) -> dict[str, Any]:
        """Name and options of the adapter that assigns credit."""
        given = {"rule": self.credit} if isinstance(self.credit, str) else dict(self.credit)
        if given.get("name", "rewards") != "rewards":
            return given
        told = {"name": "rewards", "rule": "group_relative", **given}
        if told["rule"] != "group_relative":
            return told
        advantage = {} if self.advantage == "grpo" else {"advantage": self.advantage}
        return {"normalise_std": self.normalise_std, **advantage, **told}

    @property
    def rows(self) -> dict[str, Any]:
        """Options of the adapter that makes rows, where they are not its own."""
        stale = {} if self.max_staleness is None else {"max_staleness": self.max_staleness}
        return stale | ({"min_group": 1} if self.smallest_group == 1 else {})

    @property
    def smallest_group(self) -> int:
        """Rollouts of a task that are enough to learn from one: where the batch is the measure, it may be alone."""
        return 1 if self.crediting.get("advantage") == "reinforce++" else 2

    @property
    def clips(self) -> dict[str, float]:
        """The bounds of the ratio."""
        high = self.clip if self.clip_high is None else self.clip_high
        return {"low": self.clip, "high": high, "dual": self.dual_clip}

    def learning_rate_at(self, step: int) -> float:
        """Of a step, the first being 1."""
        return self.learning_rate * (1 - self.learning_rate_decay * (step - 1) / self.steps)
