"""The commands and queries of the domain, over one log. Agent Lightning's names; all waiting is by push."""

from __future__ import annotations

from agl_core.store._apart import taken_in as spans_taken_in
from agl_core.store._apart import unassigned
from agl_core.store._decisions import is_tried_again
from agl_core.store._hooked import Hooks, changed
from agl_core.store._pages import PaginatedResult
from agl_core.store._promotions import Promotion
from agl_core.store._queries import REWARD, Queries
from agl_core.store._span import Span, TraceStatus
from agl_core.store._store import Store
from agl_core.store._types import (
    FINISHED,
    UNSET,
    Admission,
    Attempt,
    AttemptedRollout,
    AttemptStatus,
    EnqueueRolloutRequest,
    Outcome,
    Rollout,
    RolloutStatus,
    Unset,
    Worker,
    WorkerStatus,
)

__all__ = [
    "FINISHED",
    "REWARD",
    "UNSET",
    "Admission",
    "Attempt",
    "AttemptStatus",
    "AttemptedRollout",
    "EnqueueRolloutRequest",
    "Hooks",
    "Outcome",
    "PaginatedResult",
    "Promotion",
    "Queries",
    "Rollout",
    "RolloutStatus",
    "Span",
    "Store",
    "TraceStatus",
    "Unset",
    "Worker",
    "WorkerStatus",
    "changed",
    "is_tried_again",
    "spans_taken_in",
    "unassigned",
]
