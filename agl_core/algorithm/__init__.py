"""What improves an agent: the protocol, the decorator for functions, and the one that improves nothing."""

from __future__ import annotations

from agl_core.algorithm._baseline import Baseline
from agl_core.algorithm._legacy import FunctionalAlgorithm, Legacy, algo
from agl_core.algorithm._protocol import Algorithm, FastAlgorithm, Planning, is_durable, plan_of

__all__ = [
    "Algorithm",
    "Baseline",
    "FastAlgorithm",
    "FunctionalAlgorithm",
    "Legacy",
    "Planning",
    "algo",
    "is_durable",
    "plan_of",
]
