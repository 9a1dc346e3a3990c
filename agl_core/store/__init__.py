"""The commands and queries of the domain, over one log. Agent Lightning's names; all waiting is by push."""

from __future__ import annotations

from agl_core.store._queries import REWARD, Queries
from agl_core.store._store import Store
from agl_core.store._types import (
    FINISHED,
    Admission,
    Attempt,
    AttemptedRollout,
    AttemptStatus,
    EnqueueRolloutRequest,
    Outcome,
    Rollout,
    RolloutStatus,
    Worker,
)

__all__ = [
    "FINISHED",
    "REWARD",
    "Admission",
    "Attempt",
    "AttemptStatus",
    "AttemptedRollout",
    "EnqueueRolloutRequest",
    "Outcome",
    "Queries",
    "Rollout",
    "RolloutStatus",
    "Store",
    "Worker",
]
