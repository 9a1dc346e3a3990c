"""The durable handle an algorithm works through: every movement of it is recorded, and on resume read back."""

from __future__ import annotations

from agl_core.run._asks import Asks
from agl_core.run._batch import adapted
from agl_core.run._budget import Account, Budget, Price, Prices, Spending
from agl_core.run._checkpoints import Checkpoints, describe
from agl_core.run._estimates import Estimate, Examination
from agl_core.run._failures import Failures, treated
from agl_core.run._flight import Flight, Landed
from agl_core.run._learning import Updated
from agl_core.run._plan import Plan, Planned
from agl_core.run._run import Run
from agl_core.run._selection import Kept, Selection
from agl_core.run._spent import SPENDING, account, asked, last_limits, spent
from agl_core.run._wall_time import WallTime, wall_time
from agl_core.run._weights import Serving

__all__ = [
    "SPENDING",
    "Account",
    "Asks",
    "Budget",
    "Checkpoints",
    "Estimate",
    "Examination",
    "Failures",
    "Flight",
    "Kept",
    "Landed",
    "Plan",
    "Planned",
    "Price",
    "Prices",
    "Run",
    "Selection",
    "Serving",
    "Spending",
    "Updated",
    "WallTime",
    "account",
    "adapted",
    "asked",
    "describe",
    "last_limits",
    "spent",
    "treated",
    "wall_time",
]
