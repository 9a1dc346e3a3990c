"""The store: commands that write facts, queries that read tables, waiting by push."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from agl_core.clock import Clock
from agl_core.errors import UnknownId
from agl_core.log import SqliteLog, View
from agl_core.record import Draft
from agl_core.store import _recovering as recovering
from agl_core.store._capturing import Capturing
from agl_core.store._claiming import Claiming
from agl_core.store._keeper import Keeper
from agl_core.store._pages import FilterLogic, Page, PaginatedResult, SortOrder, known
from agl_core.store._publishing import Publishing
from agl_core.store._rows import ATTEMPTS, ROLLOUTS, WORKERS
from agl_core.store._settling import Settling
from agl_core.store._types import UNSET, Attempt, Rollout, RolloutStatus, Unset, Worker, WorkerStatus

__all__ = ["Store"]


class Store(Claiming, Settling, Capturing, Publishing):
    """What runners and algorithms share. Methods await the log's commit; `ask` answers without waiting.

    A store that only reads (`readonly` log) keeps no leases.
    """

    def __init__(self, log: SqliteLog, *, clock: Clock | None = None, lease_seconds: float = 30.0) -> None:
        super().__init__(log, clock=clock, lease_seconds=lease_seconds)
        self._opened = time.monotonic()
        self._keeper: Keeper | None = None
        if not log.readonly:
            self._keeper = Keeper(log, self._leases)
            self._keeper.start()

    def close(self) -> None:
        """Keep leases no more; who waits for a rollout gets none. The log stays open: who opened it closes it."""
        self._claims.close()
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None

    # --- what it is

    @property
    def capabilities(self) -> Mapping[str, bool]:
        """What may be done with it, in Agent Lightning's words."""
        return {"thread_safe": True, "async_safe": True, "zero_copy": True, "otlp_traces": False}

    async def statistics(self, *, at: int | None = None) -> Mapping[str, Any]:
        """How much there is; deleted rollouts are not counted, their attempts and spans neither."""
        return {
            "name": type(self).__name__,
            **(await self._then(at)).totals(),
            "uptime": time.monotonic() - self._opened,
        }

    # --- rollouts and attempts

    async def query_rollouts(
        self,
        *,
        status_in: Sequence[RolloutStatus] | None = None,
        rollout_id_in: Sequence[str] | None = None,
        rollout_id_contains: str | None = None,
        filter_logic: FilterLogic = "and",
        sort_by: str | None = None,
        sort_order: SortOrder = "asc",
        limit: int = -1,
        offset: int = 0,
        at: int | None = None,
    ) -> PaginatedResult[Rollout]:
        """Rollouts in the order they were enqueued, or by `sort_by`; `filter_logic` joins the filters.

        With `at`, here and in every query: as the log was when that was its last position.
        """
        known("status_in", status_in, get_args(RolloutStatus))
        page = Page(columns=ROLLOUTS, sort_by=sort_by, sort_order=sort_order, limit=limit, offset=offset)
        return (await self._then(at)).rollouts(
            ids=rollout_id_in, status_in=status_in, id_contains=rollout_id_contains, filter_logic=filter_logic,
            page=page,
        )  # fmt: skip

    async def get_rollout_by_id(self, rollout_id: str, *, at: int | None = None) -> Rollout:
        """The rollout; `UnknownId` when there is none, or it was deleted."""
        return (await self._then(at, f"rollout/{rollout_id}")).rollout(rollout_id)

    async def query_attempts(
        self,
        rollout_id: str,
        *,
        sort_by: str | None = "sequence_id",
        sort_order: SortOrder = "asc",
        limit: int = -1,
        offset: int = 0,
        at: int | None = None,
    ) -> PaginatedResult[Attempt]:
        """All tries at a rollout."""
        page = Page(columns=ATTEMPTS, sort_by=sort_by, sort_order=sort_order, limit=limit, offset=offset)
        return (await self._then(at, f"rollout/{rollout_id}")).attempts(rollout_id, page)

    async def get_latest_attempt(self, rollout_id: str, *, at: int | None = None) -> Attempt | None:
        """The try that counts; None when there was none yet."""
        ask = await self._then(at, f"rollout/{rollout_id}")
        latest = ask.latest_attempt(rollout_id)
        return ask.attempt(rollout_id, latest) if latest is not None else None

    # --- workers

    async def query_workers(
        self,
        *,
        status_in: Sequence[WorkerStatus] | None = None,
        worker_id_contains: str | None = None,
        filter_logic: FilterLogic = "and",
        sort_by: str | None = None,
        sort_order: SortOrder = "asc",
        limit: int = -1,
        offset: int = 0,
        at: int | None = None,
    ) -> PaginatedResult[Worker]:
        """Workers that joined and did not leave; one joins with the first rollout it takes under its name."""
        known("status_in", status_in, get_args(WorkerStatus))
        page = Page(columns=WORKERS, sort_by=sort_by, sort_order=sort_order, limit=limit, offset=offset)
        return (await self._then(at)).workers(status_in, worker_id_contains, filter_logic, page)

    async def get_worker_by_id(self, worker_id: str, *, at: int | None = None) -> Worker:
        """The worker; `UnknownId` when nobody of that name has joined, or it has left."""
        found = (await self._then(at)).workers(worker_id=worker_id)
        if not found:
            raise UnknownId("worker", worker_id)
        return found[0]

    async def update_worker(self, worker_id: str, heartbeat_stats: Mapping[str, Any] | Unset = UNSET) -> Worker:
        """Take a worker's heartbeat; one that is not known yet joins by it."""

        def beat(view: View) -> list[Draft]:
            before = view.in_flight.get("worker", worker_id)
            stats = (before.data["stats"] if before else None) if heartbeat_stats is UNSET else dict(heartbeat_stats)
            data = {"at": self._leases.clock.now(), "stats": stats}
            view.in_flight.put("worker", worker_id, owner=self._leases.owner, data=data)
            return self._joins_anew(view, worker_id)

        await self._decided(beat)
        return await self.get_worker_by_id(worker_id)

    # --- runs

    async def hold_run(self, run_id: str) -> None:
        """Take the run for this process, or raise `RunHeld` while another living one has it."""
        await self._decided(lambda view: recovering.hold(view, run_id, self._leases.owner))

    async def release_run(self, run_id: str) -> None:
        """Let others have it; a run that somebody else holds stays theirs."""
        await self._decided(lambda view: recovering.release(view, run_id, self._leases.owner))
