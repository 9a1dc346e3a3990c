"""The writer: one thread a process, and one transaction for all who wait (group commit)."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from agl_core.clock import Clock
from agl_core.codec import Codec, Encoded
from agl_core.errors import BadPayload, KeyReused, LogCorrupt, LogError, VersionConflict
from agl_core.ids import ulid
from agl_core.log import _schema
from agl_core.log._in_flight import InFlight
from agl_core.log._protocol import Expected, Projection, Work
from agl_core.record import Draft, Record

__all__ = ["Writer"]

_KNOWN_BLOBS = 65_536
_GROUP = 512
"""Pieces of work in one transaction: more would make the first of them wait."""

Prepare = Callable[[Draft], Draft]


@dataclass(slots=True)
class _Item:
    work: Work
    expected: Expected
    future: Future[Sequence[Record]]
    encoded: list[Encoded] | None


class Writer:
    """Takes work from any thread; commits it in groups; tells who listens."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        path: str,
        codec: Codec,
        clock: Clock,
        projections: Sequence[Projection],
        prepare: Prepare,
        committed: Callable[[Sequence[Record]], None],
    ) -> None:
        self._transaction = _Transaction(db, codec=codec, clock=clock, projections=projections, prepare=prepare)
        self._db, self._path, self._codec, self._prepare, self._committed = db, path, codec, prepare, committed
        self._items: deque[_Item] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="agl-log-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work, expected: Expected) -> Future[Sequence[Record]]:
        """Queue it; drafts are encoded here, in the caller's thread."""
        encoded = None
        if not callable(work):
            work = [self._prepare(draft) for draft in work]
            encoded = [self._codec.encode(draft.event) for draft in work]
        item = _Item(work, expected, Future(), encoded)
        # What is submitted is written. A waiter that gives up (a cancelled task cancels the future it awaits) must
        # not be able to take it back: setting the result of a cancelled future would end the writer's thread.
        item.future.set_running_or_notify_cancel()
        with self._wake:
            if self._closing:
                raise LogError(f"{self._path} is closed: open it again to write")
            self._items.append(item)
            self._wake.notify()
        return item.future

    def close(self) -> None:
        """Write what was submitted, then stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def disconnect(self) -> None:
        """Let go of the file; nothing may be submitted any more."""
        self._db.close()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._items and not self._closing:
                    self._wake.wait()
                if not self._items:
                    return
                group = [self._items.popleft() for _ in range(min(len(self._items), _GROUP))]
            self._commit(group)

    def _commit(self, group: list[_Item]) -> None:
        try:
            outcomes = self._write(group)
        except BaseException as error:  # noqa: BLE001 - a waiter must hear of it, or wait for ever
            with contextlib.suppress(Exception):  # of a damaged file; what went wrong first is told
                self._abandon()
            for item in group:
                item.future.set_exception(self._explained(error))
            return
        fresh = [record for outcome in outcomes if isinstance(outcome, _Landed) for record in outcome.fresh]
        if fresh:
            self._committed(fresh)
        for item, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, _Landed):
                item.future.set_result(outcome.records)
            else:
                item.future.set_exception(self._explained(outcome))

    def _write(self, group: list[_Item]) -> list[_Landed | Exception]:
        self._db.execute("begin immediate")
        self._transaction.begin()
        outcomes: list[_Landed | Exception] = []
        for item in group:
            self._db.execute("savepoint item")
            try:
                outcomes.append(self._transaction.land(item))
            except Exception as error:  # noqa: BLE001 - it belongs to the one who asked, not to its neighbours
                self._db.execute("rollback to item")
                self._transaction.forget()
                outcomes.append(error)
            self._db.execute("release item")
        self._db.execute("commit")
        return outcomes

    def _abandon(self) -> None:
        if self._db.in_transaction:
            self._db.execute("rollback")
        self._transaction.forget()

    def _explained(self, error: BaseException) -> BaseException:
        return LogCorrupt(self._path, why=str(error)) if _schema.is_damage(error) else error


@dataclass(frozen=True, slots=True)
class _Landed:
    records: Sequence[Record]
    fresh: Sequence[Record]
    """Without those that a key had brought before."""


class _Transaction:
    """One write transaction, as a decision sees it."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        codec: Codec,
        clock: Clock,
        projections: Sequence[Projection],
        prepare: Prepare,
    ) -> None:
        self._db, self._codec, self._clock, self._prepare = db, codec, clock, prepare
        self._projections = projections
        self.in_flight = InFlight(db)
        self._blobs: OrderedDict[str, None] = OrderedDict()
        self._head = 0

    def begin(self) -> None:
        """Look where the log is; refuse to write past tables that another process has brought or changed since."""
        _schema.refuse_foreign(self._db, self._projections)
        self._head = self.rows("select coalesce(max(position), 0) from events")[0][0]

    def forget(self) -> None:
        """Something was rolled back: what we believed about the file may be wrong."""
        self._blobs.clear()
        self._head = self.rows("select coalesce(max(position), 0) from events")[0][0]

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._db.execute(sql, parameters).fetchall()

    def version(self, stream: str) -> int:
        sql = "select coalesce(max(version), 0) from events where stream = ?"
        return int(self._db.execute(sql, (stream,)).fetchone()[0])

    def land(self, item: _Item) -> _Landed:
        for stream, expected in item.expected.items():
            if (actual := self.version(stream)) != expected and not self._is_known(item):
                raise VersionConflict(stream, expected=expected, actual=actual)
        if callable(item.work):
            drafts = [self._prepare(draft) for draft in item.work(self)]
            encoded = [self._codec.encode(draft.event) for draft in drafts]
        else:
            drafts, encoded = list(item.work), item.encoded or []
        records, fresh = [], []
        for draft, data in zip(drafts, encoded, strict=True):
            known = self._known(draft, data) if draft.key is not None else None
            record = known or self._insert(draft, data)
            records.append(record)
            if known is None:
                fresh.append(record)
        return _Landed(records, fresh)

    def _is_known(self, item: _Item) -> bool:
        """Whether all of it came before: sent again because the answer was lost, it conflicts only with itself."""
        drafts = () if callable(item.work) else item.work
        sql = "select 1 from events where key = ?"
        return bool(drafts) and all(draft.key and self.rows(sql, (draft.key,)) for draft in drafts)

    def _known(self, draft: Draft, data: Encoded) -> Record | None:
        found = self._db.execute("select * from events where key = ?", (draft.key,)).fetchone()
        if found is None:
            return None
        position, id_, stream, version, type_, schema, text, key, cause, story, actor, occurred, recorded = found
        for what, before, now in (
            ("type", type_, data.type),
            ("schema", schema, data.schema),
            ("stream", stream, draft.stream),
            ("content", text.encode(), data.data),
        ):
            if before != now:
                raise KeyReused(str(draft.key), position=position, differs=what)
        return Record(
            position=position, id=id_, stream=stream, version=version, event=data.event, key=key,
            causation_id=cause, correlation_id=story, actor=actor, occurred_at=occurred, recorded_at=recorded,
        )  # fmt: skip

    def _insert(self, draft: Draft, data: Encoded) -> Record:
        now = self._clock.now()
        for id_, content in data.blobs.items():
            self._keep(id_, content)
        self._head += 1
        record = Record(
            position=self._head, id=ulid(), stream=draft.stream, version=self.version(draft.stream) + 1,
            event=data.event, key=draft.key, causation_id=draft.causation_id, correlation_id=draft.correlation_id,
            actor=draft.actor, occurred_at=now if draft.occurred_at is None else draft.occurred_at, recorded_at=now,
        )  # fmt: skip
        row = (
            record.position, record.id, record.stream, record.version, data.type, data.schema, data.data.decode(),
            record.key, record.causation_id, record.correlation_id, record.actor, record.occurred_at,
            record.recorded_at,
        )  # fmt: skip
        try:
            self._db.execute("insert into events values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            for projection in self._projections:
                projection.apply(record, self._db)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, OverflowError) as error:
            # The file is sound, the fact is not: an id that exists already, a number of more than 64 bits.
            raise BadPayload(data.type, why=str(error)) from error
        return record

    def _keep(self, id_: str, content: bytes) -> None:
        if id_ in self._blobs:
            self._blobs.move_to_end(id_)
            return
        self._db.execute("insert or ignore into blobs values (?, ?)", (id_, content))
        self._blobs[id_] = None
        if len(self._blobs) > _KNOWN_BLOBS:
            self._blobs.popitem(last=False)


def stamped(draft: Draft, clock: Clock) -> Draft:
    """The draft with the writer's time on it."""
    return draft if draft.occurred_at is not None else replace(draft, occurred_at=clock.now())
