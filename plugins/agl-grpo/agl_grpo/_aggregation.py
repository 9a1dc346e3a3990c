"""What a token's loss is divided by: each way has its name, and none of them sees rows, passes or minibatches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["AGGREGATIONS", "Aggregation", "Shared"]

Aggregation = Literal["per_rollout_mean", "token_mean", "constant"]


class Row(Protocol):
    """What is read of a row; the `triplets` adapter says what it means."""

    @property
    def rollout_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the rollouts that share an optimiser step have together: of all steps of a round, it adds up to the round's.

    Each step is divided by its own, so that its gradient is as long as one of the whole round would be.
    """

    rollouts: int
    """N: those that count, with rows or without."""
    tokens: int
    """What they sampled, whether it earned anything or not."""
    constant: int
    """C: the same in every step of a run."""


def per_rollout_mean(row: Row, shared: Shared) -> float:
    """1 / (N |o_i|): a rollout weighs one, however long it is (DeepSeekMath, arXiv 2402.03300, eq. 3)."""
    return 1 / (row.rollout_tokens * shared.rollouts)


def token_mean(_: Row, shared: Shared) -> float:
    """1 / sum |o_i|: a token weighs one, and a long rollout as much as its length (DAPO, arXiv 2503.14476, eq. 8)."""
    return 1 / shared.tokens


def constant(_: Row, shared: Shared) -> float:
    """1 / (N C): no length, of this rollout or of others, is in it (Dr. GRPO, arXiv 2503.20783, 3.2)."""
    return 1 / (shared.rollouts * shared.constant)


AGGREGATIONS: Mapping[Aggregation, Callable[[Row, Shared], float]] = {
    "per_rollout_mean": per_rollout_mean,
    "token_mean": token_mean,
    "constant": constant,
}
