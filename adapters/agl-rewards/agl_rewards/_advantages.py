"""Advantages by name: who a rollout is compared with, and what its distance from their mean is divided by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import fsum, sqrt
from statistics import fmean, stdev
from typing import Literal

__all__ = ["ADVANTAGES", "Advantage", "Strategy", "advantages"]

Advantage = Literal["grpo", "dr_grpo", "rloo", "reinforce++", "reinforce++_baseline"]
Groups = Sequence[Sequence[float]]

_EPSILON = 1e-6  # rewards that differ by rounding alone would have advantages of order one
_WHITENING = 1e-8  # of a variance, for the same reason


def grpo(groups: Groups) -> list[float]:
    """A_i = (r_i - mean(r)) / std(r), of its group (DeepSeekMath, arXiv 2402.03300, 4.1.2).

    The deviation is that of a sample.
    """
    return [stdev(group) + _EPSILON for group in groups]


def dr_grpo(groups: Groups) -> list[float]:
    """A_i = r_i - mean(r): a task on which tries differ little moves the policy little (Dr. GRPO, arXiv 2503.20783)."""
    return [1.0 for _ in groups]


def rloo(groups: Groups) -> list[float]:
    """A_i = r_i - mean of the *other* r_j (RLOO, arXiv 2402.14740): (r_i - mean(r)) / ((n - 1) / n)."""
    return [(len(group) - 1) / len(group) for group in groups]


def whitened(groups: Groups) -> list[float]:
    """A_i = (r_i - mean(r)) / std, where std is that of these distances in all groups (REINFORCE++, arXiv 2501.03262).

    Of one group that is the whole batch, it is the method without a baseline of the task.
    """
    distances = [reward - mean for group in groups for mean in (fmean(group),) for reward in group]
    return [sqrt(fsum(distance**2 for distance in distances) / (len(distances) - 1) + _WHITENING)] * len(groups)


@dataclass(frozen=True, slots=True)
class Strategy:
    """Who is compared, and the divisor of each group of them; of what is compared there are two or more."""

    divisors: Callable[[Groups], list[float]]
    of_batch: bool = False
    """All of the batch are compared with each other, whatever their task."""


ADVANTAGES: Mapping[Advantage, Strategy] = {
    "grpo": Strategy(grpo),
    "dr_grpo": Strategy(dr_grpo),
    "rloo": Strategy(rloo),
    "reinforce++": Strategy(whitened, of_batch=True),
    "reinforce++_baseline": Strategy(whitened),
}


def advantages(name: Advantage, groups: Groups) -> list[list[float]]:
    """Of each reward of each group. Every rollout is one reward: a mean or a deviation knows nothing of its length."""
    strategy = ADVANTAGES[name]
    compared = [list(chain.from_iterable(groups))] if strategy.of_batch else groups
    of_each = [_relative(group, by) for group, by in zip(compared, strategy.divisors(compared), strict=True)]
    flat = chain.from_iterable(of_each)
    return [[next(flat) for _ in group] for group in groups]


def _relative(group: Sequence[float], divisor: float) -> list[float]:
    if len(set(group)) == 1:
        return [0.0] * len(group)  # exactly, however their mean rounds
    mean = fmean(group)
    return [(reward - mean) / divisor for reward in group]
