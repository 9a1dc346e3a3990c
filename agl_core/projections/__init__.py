"""The core's read models: tables that fold from the log, in the transaction of each event."""

from __future__ import annotations

from agl_core.projections._calls import Calls
from agl_core.projections._resources import Resources
from agl_core.projections._rewards import Rewards
from agl_core.projections._rollouts import Rollouts, exit_to_status
from agl_core.projections._runs import Runs
from agl_core.projections._spans import Spans
from agl_core.projections._trace import Trace, TraceReward, traces
from agl_core.projections._tree import Node, tree
from agl_core.projections._workers import Workers

__all__ = [
    "CORE",
    "Calls",
    "Node",
    "Resources",
    "Rewards",
    "Rollouts",
    "Runs",
    "Spans",
    "Trace",
    "TraceReward",
    "Workers",
    "exit_to_status",
    "traces",
    "tree",
]

CORE = (Rollouts(), Calls(), Rewards(), Resources(), Runs(), Workers(), Spans())
"""In the order they are applied; none looks at another's tables."""
