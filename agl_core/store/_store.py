"""The store: commands that write facts, queries that read tables, waiting by push."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import msgspec

from agl_core import resources as kinds
from agl_core.clock import Clock, System
from agl_core.errors import BadValue, KeyReused, LogError, UnknownId
from agl_core.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    ExitStatus,
    ResourcesPublished,
    RewardGiven,
    RolloutConfig,
    RolloutEnqueued,
    SpanRecorded,
    Target,
    WorkerJoined,
    WorkerLeft,
)
from agl_core.ids import new_id
from agl_core.log import Owner, SqliteLog, View
from agl_core.record import Draft, Record
from agl_core.resources import LLM, NamedResources, ResourcesUpdate
from agl_core.store import _decisions as decide
from agl_core.store import _enqueuing as enqueuing
from agl_core.store._keeper import Keeper
from agl_core.store._queries import Queries
from agl_core.store._types import Attempt, AttemptedRollout, EnqueueRolloutRequest, Rollout, Worker
from agl_core.store._waiting import Claims, Ends

__all__ = ["Store"]


class Store:
    """What runners and algorithms share. Methods await the log's commit; `ask` answers without waiting.

    A store that only reads (`readonly` log) keeps no leases.
    """

    def __init__(self, log: SqliteLog, *, clock: Clock | None = None, lease_seconds: float = 30.0) -> None:
        self.log = log
        self.ask = Queries(log)
        self._leases = decide.Leases(Owner.me(), clock or System(), lease_seconds)
        self._claims = Claims(log, self._claim, self._give_back)
        self._ends = Ends(log, self.ask.finished)
        self._keys: dict[tuple[str, str], str] = {}
        self._keeper: Keeper | None = None
        self._unsubscribe = log.subscribe(self._heard)
        if not log.readonly:
            self._keeper = Keeper(log, self._leases)
            self._keeper.start()

    def _heard(self, records: Sequence[Record]) -> None:
        self._ends.heard(records)
        self._claims.heard(records)

    def _claim(self, workers: Sequence[str]) -> Future[Sequence[Record]]:
        return self.log.submit(lambda view: decide.claim(view, workers, self._leases))

    def close(self) -> None:
        """Keep leases no more; who waits for a rollout gets none. The log stays open: who opened it closes it."""
        self._unsubscribe()
        self._claims.close()
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None

    # --- rollouts

    async def enqueue_rollout(
        self,
        input: Any,
        mode: str | None = None,
        resources_id: str | None = None,
        config: RolloutConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Rollout:
        """Hand a task out. Resources are pinned now: the named bundle, or the latest, at its version."""
        request = EnqueueRolloutRequest(
            input=input, mode=mode, resources_id=resources_id, config=config, metadata=metadata or {}
        )
        return (await self.enqueue_many_rollouts([request]))[0]

    async def enqueue_many_rollouts(self, rollouts: Sequence[EnqueueRolloutRequest]) -> list[Rollout]:
        """Hand many out, in one transaction."""
        ids = await self.enqueue(rollouts)
        found = {rollout.rollout_id: rollout for rollout in self.ask.rollouts(ids=ids)}
        return [found[rollout_id] for rollout_id in ids]

    async def enqueue(self, rollouts: Sequence[EnqueueRolloutRequest]) -> list[str]:
        """`enqueue_many_rollouts`, ids only."""
        for request in rollouts:
            enqueuing.check(request)
        keyed = {request.key: request for request in rollouts if request.key}
        others = [request for request in rollouts if not request.key]
        known: dict[str, str] = {}

        def enqueued(view: View) -> list[Draft]:
            known.update(enqueuing.enqueued_before(view, list(keyed)))
            fresh = [request for key, request in keyed.items() if key not in known]
            return enqueuing.enqueued(view, fresh + others)

        records = await asyncio.wrap_future(self.log.submit(enqueued))
        made = [record.stream.removeprefix("rollout/") for record in records]
        known.update((key, made.pop(0)) for key in list(keyed) if key not in known)
        unkeyed = iter(made)
        return [known[request.key] if request.key else next(unkeyed) for request in rollouts]

    async def dequeue_rollout(
        self, worker_id: str | None = None, *, timeout: float | None = 0.0
    ) -> AttemptedRollout | None:
        """The next rollout there is, under a lease; None when none comes within `timeout` seconds (None: for ever)."""
        worker_id = worker_id or new_id("wk")
        if timeout == 0.0:
            records = await self._begun(self._claim([worker_id]))
            return self._attempted(records[0].event) if records else None
        waiter = self._claims.wait(worker_id)
        future = asyncio.wrap_future(waiter.future)
        try:
            await asyncio.wait([future], timeout=timeout)
        except asyncio.CancelledError:
            if started := self._claims.leave(waiter):
                self._give_back([started])
            raise
        started = future.result() if future.done() else self._claims.leave(waiter)
        return self._attempted(started) if started else None

    async def _begun(self, claimed: Future[Sequence[Record]]) -> Sequence[Record]:
        """The records of a claim; when its caller is cancelled, nobody will work on it, and it is given back."""
        try:
            return await asyncio.wrap_future(claimed)
        except asyncio.CancelledError:
            claimed.add_done_callback(self._abandon)
            raise

    def _abandon(self, claimed: Future[Sequence[Record]]) -> None:
        if claimed.exception() is None:
            events = [record.event for record in claimed.result()]
            self._give_back([event for event in events if isinstance(event, AttemptStarted)])

    def _give_back(self, started: Sequence[AttemptStarted]) -> None:
        with suppress(LogError):  # the log is closed: the leases go with this process
            self.log.submit(lambda view: decide.give_back(view, started))

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
    ) -> AttemptedRollout:
        """Hand a task out and take it at once, past the queue."""
        request = EnqueueRolloutRequest(
            input=input, mode=mode, resources_id=resources_id, config=config, metadata=metadata or {}, run_id=run_id
        )

        enqueuing.check(request)

        def started(view: View) -> list[Draft]:
            (draft,) = enqueuing.enqueued(view, [request])
            assert isinstance(draft.event, RolloutEnqueued)
            config_json = msgspec.json.encode(draft.event.config).decode()
            first = decide.begin(
                view, draft.event.rollout_id, 0, config_json, run_id, worker_id or new_id("wk"), self._leases
            )
            return [draft, first]

        records = await self._begun(self.log.submit(started))
        return self._attempted(records[1].event)

    def _attempted(self, started: Event) -> AttemptedRollout:
        assert isinstance(started, AttemptStarted)
        rollout = self.ask.rollout(started.rollout_id)
        if isinstance(rollout, AttemptedRollout) and rollout.attempt_id == started.attempt_id:
            return rollout
        raise UnknownId("attempt", started.attempt_id)

    async def finish_attempt(
        self, attempt: Attempt, exit_status: ExitStatus, *, error: str | None = None
    ) -> AttemptFinished:
        """Settle an attempt. A result that comes after the lease was lost is kept, marked late, and never counts."""
        records = await asyncio.wrap_future(
            self.log.submit(
                lambda view: decide.finish(view, attempt.rollout_id, attempt.attempt_id, exit_status, error)
            )
        )
        event = records[0].event
        assert isinstance(event, AttemptFinished)
        return event

    async def give_back(self, started: AttemptStarted) -> None:
        """An attempt whose worker stops: the rollout goes back to the queue, and loses no try."""
        await asyncio.wrap_future(self.log.submit(lambda view: decide.give_back(view, [started])))

    async def cancel_rollout(self, rollout_id: str, why: str = "") -> None:
        """Call it off. Settled rollouts stay as they are."""
        await asyncio.wrap_future(self.log.submit(lambda view: decide.cancel(view, rollout_id, why)))

    async def wait_for_rollouts(self, *, rollout_ids: Sequence[str], timeout: float | None = None) -> list[Rollout]:
        """Those of `rollout_ids` that are settled, as soon as all are, or when `timeout` seconds have passed."""
        await self.wait(rollout_ids, timeout=timeout)
        done = self.ask.finished(rollout_ids)
        return self.ask.rollouts(ids=[rollout_id for rollout_id in rollout_ids if rollout_id in done])

    async def wait(
        self,
        rollout_ids: Sequence[str],
        *,
        timeout: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> bool:
        """Whether all are settled; no id costs a thread or a poll."""
        self.ask.check(rollout_ids)
        future = asyncio.wrap_future(self._ends.wait(rollout_ids, progress))
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        return True

    async def query_rollouts(
        self,
        *,
        status_in: Sequence[str] = (),
        rollout_id_in: Sequence[str] | None = None,
        limit: int = -1,
        offset: int = 0,
    ) -> list[Rollout]:
        """Rollouts in the order they were enqueued."""
        return self.ask.rollouts(ids=rollout_id_in, status_in=status_in, limit=limit, offset=offset)

    async def get_rollout_by_id(self, rollout_id: str) -> Rollout:
        """The rollout; `UnknownId` when there is none."""
        return self.ask.rollout(rollout_id)

    async def query_attempts(self, rollout_id: str) -> list[Attempt]:
        """All tries at a rollout."""
        return self.ask.attempts(rollout_id)

    # --- what an attempt leaves

    async def add_reward(
        self,
        rollout_id: str,
        value: float,
        *,
        attempt_id: str | None = None,
        name: str = "primary",
        judge: str = "agent",
        target: Target | None = None,
    ) -> Record:
        """Put a number on a rollout, or on what `target` names."""
        event = RewardGiven(
            rollout_id=rollout_id,
            attempt_id=attempt_id,
            target=target or Target(kind="rollout", id=rollout_id),
            value=_number(value),
            name=name,
            judge=judge,
        )
        return await self._add(rollout_id, event)

    async def add_span(self, span: SpanRecorded) -> Record:
        """Keep a span of a known attempt, once."""
        return await self._add(span.rollout_id, span, key=f"span/{span.attempt_id}/{span.span_id}")

    async def _add(self, rollout_id: str, event: RewardGiven | SpanRecorded, *, key: str | None = None) -> Record:
        def added(view: View) -> list[Draft]:
            found = view.rows("select run_id from rollouts where rollout_id = ?", (rollout_id,))
            if not found:
                raise UnknownId("rollout", rollout_id)
            of = "select 1 from attempts where attempt_id = ? and rollout_id = ?"
            if event.attempt_id is not None and not view.rows(of, (event.attempt_id, rollout_id)):
                raise UnknownId("attempt", event.attempt_id)
            return [
                Draft(stream=f"rollout/{rollout_id}", event=event, key=key, correlation_id=found[0][0] or rollout_id)
            ]

        return (await asyncio.wrap_future(self.log.submit(added)))[0]

    # --- resources

    async def add_resources(self, resources: NamedResources) -> ResourcesUpdate:
        """A new bundle, at version 1."""
        return await self.publish(resources)

    async def update_resources(self, resources_id: str, resources: NamedResources) -> ResourcesUpdate:
        """The next version of a bundle that exists; earlier ones stay as they were."""
        self.ask.resources(resources_id)
        return await self.publish(resources, resources_id=resources_id)

    async def publish(
        self,
        resources: NamedResources,
        *,
        resources_id: str | None = None,
        parent: ResourcesUpdate | None = None,
        why: str = "",
        run_id: str | None = None,
        key: str | None = None,
    ) -> ResourcesUpdate:
        """A new immutable version: the parent's resources with these in their places; once, when it has a key."""
        dumped = {
            name: kinds.dump(resource)
            for name, resource in {**(parent.resources if parent else {}), **resources}.items()
        }
        name = resources_id or (parent.resources_id if parent else new_id("rs"))

        def published(view: View) -> list[Draft]:
            if key is not None and view.rows("select 1 from events where key = ?", (key,)):
                return []
            known = view.rows(
                "select resources_id, version from resources where resources_id = ? order by version", (name,)
            )
            event = ResourcesPublished(
                resources_id=name,
                version=len(known) + 1,
                resources=dumped,
                parent=f"{parent.resources_id}@{parent.version}" if parent else None,
                why=why,
                run_id=run_id,
            )
            return [Draft(stream=f"resources/{name}", event=event, key=key, correlation_id=run_id or name)]

        records = await asyncio.wrap_future(self.log.submit(published))
        record = records[0] if records else self.log.get(str(key))
        event = record.event if record else None
        if not isinstance(event, ResourcesPublished) or event.resources != dumped:
            raise KeyReused(str(key), position=record.position if record else 0, differs="content")
        for inner, resource in resources.items():
            if isinstance(resource, LLM) and resource.api_key:
                self._keys[event.resources_id, inner] = resource.api_key
        return self.ask.resources(event.resources_id, event.version)

    async def get_latest_resources(self) -> ResourcesUpdate | None:
        """The bundle that came out last."""
        return self.ask.latest_resources()

    async def get_resources_by_id(self, resources_id: str, version: int | None = None) -> ResourcesUpdate:
        """A bundle; its newest version when none is named."""
        return self.ask.resources(resources_id, version)

    def api_key(self, resources_id: str, name: str) -> str | None:
        """The provider's key that came with a resource: held by this process, written nowhere."""
        return self._keys.get((resources_id, name))

    # --- who works

    async def join(self, worker_ids: Sequence[str]) -> None:
        """These workers of this process are ready."""
        me = self._leases.owner
        drafts = [
            Draft(stream=f"worker/{name}", event=WorkerJoined(worker_id=name, host=me.host, pid=me.pid))
            for name in worker_ids
        ]
        await asyncio.wrap_future(self.log.submit(drafts))

    async def leave(self, worker_ids: Sequence[str], why: str = "") -> None:
        """They take no more."""
        drafts = [Draft(stream=f"worker/{name}", event=WorkerLeft(worker_id=name, why=why)) for name in worker_ids]
        await asyncio.wrap_future(self.log.submit(drafts))

    async def query_workers(self) -> list[Worker]:
        """Workers that joined and did not leave."""
        return self.ask.workers()

    async def hold_run(self, run_id: str) -> None:
        """Take the run for this process, or raise `RunHeld` while another living one has it."""
        await asyncio.wrap_future(self.log.submit(lambda view: decide.hold(view, run_id, self._leases.owner)))

    async def release_run(self, run_id: str) -> None:
        """Let others have it; a run that somebody else holds stays theirs."""
        await asyncio.wrap_future(self.log.submit(lambda view: decide.release(view, run_id, self._leases.owner)))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise BadValue("reward", value, why="a reward is a finite number") from None
