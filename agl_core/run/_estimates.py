"""How sure a mean is: intervals over tasks, normal or bootstrapped, paired where the tasks are the same."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Estimate", "Examination"]

_Z95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over `n` tasks, with its 95 % confidence interval (normal approximation)."""

    mean: float
    n: int
    ci95: tuple[float, float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """The estimate from a sample; with fewer than two values the interval is all there is: unknown."""
        n = len(values)
        mean = statistics.fmean(values) if n else 0.0
        half = _Z95 * statistics.stdev(values) / math.sqrt(n) if n > 1 else math.inf
        return cls(mean=mean, n=n, ci95=(mean - half, mean + half))

    @classmethod
    def bootstrap(cls, values: Sequence[float], *, seed: int = 0, draws: int = 10_000) -> Estimate:
        """The mean with its percentile-bootstrap interval (Efron 1979): of few values, of any distribution.

        Of paired differences, it is the paired bootstrap. The same values and seed give the same interval.
        """
        n, dice = len(values), random.Random(seed)
        if n < 2:
            return cls.of(values)
        means = sorted(math.fsum(dice.choices(values, k=n)) / n for _ in range(draws))
        low, high = means[round(0.025 * (draws - 1))], means[round(0.975 * (draws - 1))]
        return cls(mean=statistics.fmean(values), n=n, ci95=(low, high))

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it; an unknown interval is null."""
        low, high = self.ci95
        interval = [round(low, 4), round(high, 4)] if math.isfinite(low) else None
        return {"mean": round(self.mean, 4), "n": self.n, "ci95": interval}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The sealed test split, opened once: two policies on the same tasks."""

    before: Estimate
    after: Estimate
    difference: Estimate
    """Of the pairs: after minus before, task by task."""
    masked: int = 0
    """Tasks left out, because what came of one side does not count."""
    pairs: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Reward before and after by task, as far as both count."""

    @classmethod
    def of(
        cls, before: Sequence[float | None], after: Sequence[float | None], *, tasks: Sequence[str] | None = None
    ) -> Examination:
        """Rewards of the same tasks in the same order; None of what does not count. `tasks` are their ids."""
        names = [str(n) for n in range(len(before))] if tasks is None else tasks
        pairs = {
            name: (a, b) for name, a, b in zip(names, before, after, strict=True) if a is not None and b is not None
        }
        return cls(
            before=Estimate.of([a for a, _ in pairs.values()]),
            after=Estimate.of([b for _, b in pairs.values()]),
            difference=Estimate.of([b - a for a, b in pairs.values()]),
            masked=len(before) - len(pairs),
            pairs=pairs,
        )

    @property
    def is_better(self) -> bool:
        """Whether the difference is above zero beyond its interval."""
        return self.difference.ci95[0] > 0

    def to_json(self) -> dict[str, Any]:
        """As it stands in `run.finished`."""
        return {
            "reward_before": self.before.to_json(),
            "reward_after": self.after.to_json(),
            "difference": self.difference.to_json(),
            "masked": self.masked,
        }
