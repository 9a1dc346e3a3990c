"""Commands that hand tasks out, and take them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from agl_core.clock import Clock
from agl_core.errors import AlreadySettled, BadValue, LogError
from agl_core.events import AttemptStarted, RolloutConfig, WorkerJoined, WorkerLeft
from agl_core.ids import new_id
from agl_core.log import Decide, SqliteLog, View
from agl_core.record import Draft, Record
from agl_core.store import _decisions as decide
from agl_core.store import _enqueuing as enqueuing
from agl_core.store import _updating as updating
from agl_core.store._base import Base
from agl_core.store._hooked import agreed
from agl_core.store._rows import handed_out
from agl_core.store._taking import Claim, Taken
from agl_core.store._types import FINISHED, AttemptedRollout, EnqueueRolloutRequest, Rollout
from agl_core.store._waiting import Claims

if TYPE_CHECKING:
    from agl_core.store._store import Store

__all__ = ["Claiming"]


class Claiming(Base):
    """The queue, from both ends."""

    def __init__(self, log: SqliteLog, *, clock: Clock | None = None, lease_seconds: float = 30.0) -> None:
        super().__init__(log, clock=clock, lease_seconds=lease_seconds)
        self._claims = Claims(log, self._leases, self._abandon)
        self._joined: set[str] = set()

    # --- handing out

    async def enqueue_rollout(
        self,
        input: Any,
        mode: str | None = None,
        resources_id: str | None = None,
        config: RolloutConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        rollout_id: str | None = None,
    ) -> Rollout:
        """Hand a task out. Resources are pinned now: the named bundle, or the latest, at its version."""
        request = EnqueueRolloutRequest(
            input=input, mode=mode, resources_id=resources_id, config=config, metadata=metadata or {},
            rollout_id=rollout_id,
        )  # fmt: skip
        return (await self.enqueue_many_rollouts([request]))[0]

    async def enqueue_many_rollouts(self, rollouts: Sequence[EnqueueRolloutRequest]) -> list[Rollout]:
        """Hand many out, in one transaction; one that came before, by its key or its id, is what it became."""
        records = await self._enqueue(rollouts)
        ids = [record.stream.removeprefix("rollout/") for record in records]
        # What bears a name may have come before, and have become something since.
        named = [id_ for id_, request in zip(ids, rollouts, strict=True) if request.key or request.rollout_id]
        found = (
            {rollout.rollout_id: rollout for rollout in self.ask.made(self.ask.rollout_rows(named))} if named else {}
        )
        return [found.get(id_) or handed_out(record) for id_, record in zip(ids, records, strict=True)]

    async def enqueue(self, rollouts: Sequence[EnqueueRolloutRequest]) -> list[str]:
        """`enqueue_many_rollouts`, ids only."""
        return [record.stream.removeprefix("rollout/") for record in await self._enqueue(rollouts)]

    async def _enqueue(self, rollouts: Sequence[EnqueueRolloutRequest]) -> Sequence[Record]:
        for request in rollouts:
            enqueuing.check(request)
        requests = await agreed(cast("Store", self), self.hooks, rollouts)
        return await self._decided(lambda view: enqueuing.enqueued(view, requests))

    # --- taking

    async def dequeue_rollout(
        self, worker_id: str | None = None, *, timeout: float | None = 0.0
    ) -> AttemptedRollout | None:
        """The next rollout there is, under a lease; None when none comes within `timeout` seconds (None: for ever)."""
        worker_id = self._worker(worker_id)
        if timeout == 0.0:
            return next(iter(await self._taken([worker_id])), None)
        waiter = self._claims.wait(worker_id)
        future = asyncio.wrap_future(waiter.future)
        try:
            await asyncio.wait([future], timeout=timeout)
        except asyncio.CancelledError:
            if taken := self._claims.leave(waiter):
                self._abandon([taken])
            raise
        taken = future.result() if future.done() else self._claims.leave(waiter)
        return taken.rollout(self.log) if taken else None

    async def dequeue_many_rollouts(
        self, *, limit: int = 1, worker_id: str | None = None
    ) -> Sequence[AttemptedRollout]:
        """The next rollouts, up to `limit`, in one transaction; each under a lease of its own."""
        if limit < 1:
            raise BadValue("limit", limit, why="it is at least 1")
        return await self._taken([self._worker(worker_id)] * limit)

    async def _taken(self, workers: Sequence[str]) -> list[AttemptedRollout]:
        claim = Claim(workers, self._leases)
        return [taken.rollout(self.log) for taken in claim.taken(await self._begun(claim))]

    async def start_rollout(
        self,
        input: Any,
        mode: str | None = None,
        resources_id: str | None = None,
        config: RolloutConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        worker_id: str | None = None,
        *,
        run_id: str | None = None,
        rollout_id: str | None = None,
    ) -> AttemptedRollout:
        """Hand a task out and take it at once, past the queue. Started again under its id, it is what it became."""
        request = EnqueueRolloutRequest(
            input=input, mode=mode, resources_id=resources_id, config=config, metadata=metadata or {}, run_id=run_id,
            rollout_id=rollout_id or new_id("ro"),
        )  # fmt: skip
        enqueuing.check(request)
        (request,) = await agreed(cast("Store", self), self.hooks, [request])
        worker_id = self._worker(worker_id)

        def started(view: View) -> list[Draft]:
            (draft,) = enqueuing.enqueued(view, [request])
            name = draft.stream.removeprefix("rollout/")
            is_known = bool(view.rows("select 1 from rollouts where rollout_id = ?", (name,)))
            rollout = decide.find(view, name) if is_known else enqueuing.standing(draft)
            if rollout.attempts:
                return [draft]
            if rollout.status in FINISHED:
                raise AlreadySettled("rollout", name, status=rollout.status)
            return [draft, decide.begin(view, rollout, worker_id, self._leases)]

        fresh = self._attempted(await self._begun(started))
        if fresh:
            return fresh[0]
        known = self.ask.rollout(str(request.rollout_id))
        assert isinstance(known, AttemptedRollout)
        return known

    async def start_attempt(
        self, rollout_id: str, worker_id: str | None = None, *, again: AttemptStarted | None = None
    ) -> AttemptedRollout:
        """Try it once more now, whatever `max_attempts` says; a settled rollout is final: `AlreadySettled`.

        `again` is an attempt of another log, whose id and number this one is to have.
        """
        worker_id = self._worker(worker_id)
        records = await self._begun(
            lambda view: updating.start_attempt(view, rollout_id, worker_id, self._leases, again)
        )
        return self._attempted(records)[0]

    def _attempted(self, records: Sequence[Record]) -> list[AttemptedRollout]:
        """The rollouts of the attempts that were begun, whatever came after."""
        return self.ask.taken([event.attempt_id for event in _started(records)])

    # --- giving back

    async def give_back(self, started: AttemptStarted) -> None:
        """An attempt whose worker stops: the rollout goes back to the queue, and loses no try."""
        await self._decided(lambda view: decide.give_back(view, [started]))

    async def _begun(self, decide: Decide) -> Sequence[Record]:
        """Attempts; when the caller is cancelled, nobody will work on them, and they are given back."""

        def abandon(records: Sequence[Record]) -> None:
            self._give_back(_started(records))

        begun = self.log.soon(decide, unheard=abandon)
        try:
            return await begun
        except asyncio.CancelledError:
            # Cancelled between the commit and its next step: the future is done, and its result reaches nobody.
            if not begun.cancelled() and begun.done() and begun.exception() is None:
                abandon(begun.result())
            raise

    def _abandon(self, taken: Sequence[Taken]) -> None:
        self._give_back([one.started for one in taken])

    def _give_back(self, started: Sequence[AttemptStarted]) -> None:
        with suppress(LogError):  # the log is closed: the leases go with this process
            self.log.submit(lambda view: decide.give_back(view, started))

    # --- who takes

    async def join(self, worker_ids: Sequence[str]) -> None:
        """These workers of this process are ready."""
        self._joined.update(worker_ids)
        await self.log.soon([self._joins(name) for name in worker_ids])

    async def leave(self, worker_ids: Sequence[str], why: str = "") -> None:
        """They take no more."""
        self._joined.difference_update(worker_ids)
        drafts = [Draft(stream=f"worker/{name}", event=WorkerLeft(worker_id=name, why=why)) for name in worker_ids]

        def left(view: View) -> list[Draft]:
            for name in worker_ids:
                view.in_flight.drop("worker", name)
            return drafts

        await self._decided(left)

    def _worker(self, worker_id: str | None) -> str:
        """Who takes; one that is named joins with the first it takes."""
        if worker_id is None:
            return new_id("wk")
        if worker_id not in self._joined:
            self._joined.add(worker_id)
            # Not awaited: the log writes in the order it is asked, so it lands before what is taken.
            self.log.submit(lambda view: self._joins_anew(view, worker_id))
        return worker_id

    def _joins_anew(self, view: View, worker_id: str) -> list[Draft]:
        sql = "select 1 from workers where worker_id = ? and left_at is null"
        return [] if view.rows(sql, (worker_id,)) else [self._joins(worker_id)]

    def _joins(self, worker_id: str) -> Draft:
        me = self._leases.owner
        return Draft(stream=f"worker/{worker_id}", event=WorkerJoined(worker_id=worker_id, host=me.host, pid=me.pid))


def _started(records: Sequence[Record]) -> list[AttemptStarted]:
    return [record.event for record in records if isinstance(record.event, AttemptStarted)]
