"""The commands and queries of the domain, over one log. Agent Lightning's names; all waiting is by push."""

from __future__ import annotations

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
    "Admission",
    "Attempt",
    "AttemptStatus",
    "AttemptedRollout",
    "EnqueueRolloutRequest",
    "Outcome",
    "Rollout",
    "RolloutStatus",
    "Store",
    "Worker",
]
