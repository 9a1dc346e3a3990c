"""A run whose budget is spent: what can still come to its end does, and nothing waits for what is not there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from agl_core.gateway import Ledger
from agl_core.log import SqliteLog

__all__ = ["brought_home", "unless_dry"]

_PATIENCE = 5.0
"""Seconds in which attempts that ask nothing more may end; those of a slower kind are handed out again."""
_TICK = 0.01
_OPEN = "select attempt_id from rollouts where run_id = ? and status in ('preparing', 'running')"


async def unless_dry(ledger: Ledger, work: Coroutine[Any, Any, None]) -> None:
    """Do it; raises `BudgetSpent` as soon as it waits for calls that are not covered."""
    doing, dry = asyncio.ensure_future(work), asyncio.wrap_future(ledger.dry)
    try:
        await asyncio.wait([doing, dry], return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ledger.refusal()
        doing.result()
    finally:
        dry.cancel()
        doing.cancel()
        await asyncio.wait([doing])


async def brought_home(log: SqliteLog, run_id: str, ledger: Ledger, *, unless: asyncio.Future[Any]) -> None:
    """Return when each open attempt waits for a call that is not covered: what they asked before was paid for.

    One that has all its answers comes to its end, and is not handed out again. Or when `unless` is done, or in time.
    """
    until = time.monotonic() + _PATIENCE
    while not unless.done() and time.monotonic() < until:
        if {attempt_id for (attempt_id,) in log.rows(_OPEN, (run_id,))} <= ledger.waiting:
            return
        await asyncio.sleep(_TICK)
