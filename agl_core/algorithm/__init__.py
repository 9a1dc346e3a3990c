"""What improves an agent: the protocol, the decorator for functions, those that improve nothing; and reactions."""

from __future__ import annotations

from agl_core.algorithm._baseline import Baseline
from agl_core.algorithm._collect import Collect
from agl_core.algorithm._legacy import FunctionalAlgorithm, Legacy, algo
from agl_core.algorithm._promote_best import PromoteBest
from agl_core.algorithm._protocol import Algorithm, FastAlgorithm, Planning, is_durable, not_offline, plan_of
from agl_core.algorithm._reaction import Following, Reaction, Write, react
from agl_core.algorithm._stop_early import StopEarly

__all__ = [
    "Algorithm",
    "Baseline",
    "Collect",
    "FastAlgorithm",
    "Following",
    "FunctionalAlgorithm",
    "Legacy",
    "Planning",
    "PromoteBest",
    "Reaction",
    "StopEarly",
    "Write",
    "algo",
    "is_durable",
    "not_offline",
    "plan_of",
    "react",
]
