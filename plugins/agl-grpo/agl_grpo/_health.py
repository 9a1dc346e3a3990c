"""How well a batch came out of the log, as metrics."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agl_core.adapter import Adapted

__all__ = ["health"]

_BREAKS = frozenset({"retokenised", "template", "truncated", "edited_history"})
"""Why a row begins in the middle of a conversation; it may begin where one does, too."""


class Row(Protocol):
    """What is read of a row; the `triplets` adapter says what each field means."""

    @property
    def began(self) -> str: ...
    @property
    def staleness(self) -> Sequence[int | None]: ...


def health(batch: Adapted[Row]) -> dict[str, float]:
    """`calls/kept`, `calls/dropped` and `dropped/<reason>`; `calls/merged`, the share of answers that continue a row;
    `breaks/<cause>`, conversations that could not be continued; `staleness/mean` and `staleness/max`, versions behind
    the one in training, of calls of which it is known."""  # noqa: D205, D209 - one sentence
    metrics: dict[str, float] = {"calls/kept": batch.kept, "calls/dropped": len(batch.dropped)}
    reasons = Counter(dropped.reason for dropped in batch.dropped)
    metrics |= {f"dropped/{reason}": count for reason, count in sorted(reasons.items())}
    causes = Counter(row.began for row in batch.rows if row.began in _BREAKS)
    metrics |= {f"breaks/{cause}": count for cause, count in sorted(causes.items())}
    behind = [versions for row in batch.rows for versions in row.staleness]
    if behind:
        metrics["calls/merged"] = (len(behind) - len(batch.rows)) / len(behind)
    if known := [versions for versions in behind if versions is not None]:
        metrics |= {"staleness/mean": fmean(known), "staleness/max": max(known)}
    return metrics
