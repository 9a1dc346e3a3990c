"""What every part of the store stands on: a log to write to, and answers from its tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agl_core.clock import Clock, System
from agl_core.log import Decide, Owner, SqliteLog
from agl_core.record import Record
from agl_core.store._decisions import Leases
from agl_core.store._hooked import Hooks
from agl_core.store._queries import Queries
from agl_core.store._rows import many

__all__ = ["Base"]


class Base:
    """`log`, `ask`, and the leases of this process."""

    hooks: Hooks | None = None
    """Who has a say in what is handed out here, and hears how what is waited for here has ended."""

    def __init__(self, log: SqliteLog, *, clock: Clock | None = None, lease_seconds: float = 30.0) -> None:
        self.log = log
        self.ask = Queries(log)
        self._leases = Leases(Owner.me(), clock or System(), lease_seconds)

    async def _then(self, at: int | None, *streams: str) -> Queries:
        """Who answers: `ask`, or one who knows the log up to `at`, and of it what those streams say if any is named.

        Folding takes its time, and is not done in the loop.
        """
        if at is None:
            return self.ask
        many(streams)  # refuses what is no text, as every other query does
        past = self.log.at(at, streams=streams)
        await asyncio.to_thread(past.rows, "select 1")
        return Queries(past)

    async def _decided(self, decide: Decide) -> Sequence[Record]:
        """What a decision wrote, once it is durable."""
        return await self.log.soon(decide)
