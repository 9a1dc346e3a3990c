"""Adapters: a trace in, training rows out, and a reason for everything that did not become one."""

from __future__ import annotations

from agl_core.adapter._adapter import Adapted, Adapter, Dropped, Unmatched, is_by_task
from agl_core.adapter._credit import Credit, Term
from agl_core.adapter._drift import drift
from agl_core.adapter._earned import Earned
from agl_core.adapter._words import Words, words
from agl_core.projections import Trace, TraceReward

__all__ = [
    "Adapted",
    "Adapter",
    "Credit",
    "Dropped",
    "Earned",
    "Term",
    "Trace",
    "TraceReward",
    "Unmatched",
    "Words",
    "drift",
    "is_by_task",
    "words",
]
