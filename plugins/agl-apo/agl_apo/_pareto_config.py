"""The hyper-parameters of the Pareto search, each a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agl_apo._search_config import SearchConfig

__all__ = ["ParetoConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoConfig(SearchConfig):
    """What may be set."""

    least: ClassVar[Mapping[str, int]] = {**SearchConfig.least, "rounds": 0, "parallel": 1}

    gradient_batch_size: int = 3
    """Training tasks that a critique is about, and that decide whether its child is worth a whole validation."""
    rounds: int = 10
    """Of drawing parents, criticising, editing and comparing."""
    parallel: int = 4
    """Parents of a round: the search is as wide as that, and knows as much less when it draws."""
    merge: bool = True
    """Where several prompts are improved, also put together what two leaders changed apart, once a round."""
