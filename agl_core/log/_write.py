"""The writer: one transaction for all who wait (group commit), and none who could write at once waits for a thread."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from agl_core.clock import Clock
from agl_core.codec import Codec, Encoded
from agl_core.errors import LogError
from agl_core.log import _schema
from agl_core.log._checkpointing import Checkpointer
from agl_core.log._failures import explained, is_busy
from agl_core.log._place import Place
from agl_core.log._protocol import Expected, Work
from agl_core.log._transaction import Landed, Prepare, Transaction
from agl_core.log._turns import Turns
from agl_core.record import Record

__all__ = ["Item", "Writer"]

_NORMAL = 1
"""As SQLite numbers it: a commit waits for no disk."""
_BEGIN = "begin immediate"
_GROUP = 512
"""Pieces of work in one transaction: more would make the first of them wait."""


@dataclass(slots=True)
class Item:
    """A piece of work, and what became of it."""

    work: Work
    expected: Expected
    encoded: list[Encoded] | None
    at: int
    """When it was submitted."""
    told: Callable[[Item], None] | None = None
    """Called once it is known, in the thread that wrote."""
    records: Sequence[Record] = ()
    error: BaseException | None = None

    def settle(self, records: Sequence[Record], error: BaseException | None = None) -> None:
        """It is known what became of it."""
        self.records, self.error = records, error
        if self.told is not None:
            self.told(self)

    def result(self) -> Sequence[Record]:
        """The records; or what went wrong, raised."""
        if self.error is not None:
            raise self.error
        return self.records


class Writer:
    """Takes work from any thread; commits it in groups; tells who listens."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        path: str,
        transaction: Transaction,
        codec: Codec,
        clock: Clock,
        prepare: Prepare,
        turns: Turns,
        checkpointer: Checkpointer,
        committed: Callable[[Sequence[Record]], None],
    ) -> None:
        self._db, self._path, self._transaction = db, path, transaction
        db.execute("pragma busy_timeout = 0")  # who begins says whether he waits
        self._syncs = db.execute("pragma synchronous").fetchone()[0] > _NORMAL
        self._codec, self._clock, self._prepare = codec, clock, prepare
        self._turns, self._checkpointer, self._committed = turns, checkpointer, committed
        self._items: deque[Item] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._place = Place(path)
        self._writing = threading.Lock()
        self._deciding: int | None = None
        """The thread that writes just now."""
        self._thread = threading.Thread(target=self._run, name="agl-log-writer", daemon=True)
        self._thread.start()

    def write(self, work: Work, expected: Expected) -> Sequence[Record]:
        """Write, and wait for the commit: in the caller's own thread when nobody else is writing."""
        if self._deciding == threading.get_ident():
            raise LogError("a decision that writes would wait for itself: return the drafts instead")
        item = self.item(work, expected)
        if self._begins():
            try:
                self._commit([item], self._turns.mine())
            finally:
                self._writing.release()
        else:
            written = threading.Event()
            item.told = lambda _item: written.set()
            self.queue([item])
            written.wait()
        return item.result()

    def submit(self, work: Work, expected: Expected, *, eager: bool) -> Future[Sequence[Record]]:
        """Queue it; what is `eager` is written here, if that makes nobody wait."""
        item = self.item(work, expected)
        future: Future[Sequence[Record]] = Future()
        # What is submitted is written. A waiter that gives up (a cancelled task cancels the future it awaits) must
        # not be able to take it back: setting the result of a cancelled future would end the writer's thread.
        future.set_running_or_notify_cancel()
        item.told = partial(_resolve, future)
        if not (eager and self.write_now([item])):
            self.queue([item])
        return future

    def item(self, work: Work, expected: Expected) -> Item:
        """A piece of work, its drafts encoded here, in the caller's thread."""
        encoded = None
        if not callable(work):
            work = [self._prepare(draft) for draft in work]
            encoded = [self._codec.encode(draft.event) for draft in work]
        return Item(work, expected, encoded, self._clock.now())

    def write_now(self, items: Sequence[Item]) -> bool:
        """Write in the caller's thread, if that makes nobody wait: not for others, nor for a disk. Whether it did."""
        if self._syncs or not self._begins():
            return False
        try:
            return self._turns.take() and self._commit(items, self._turns.taken(), waits=False)
        finally:
            self._writing.release()

    def queue(self, items: Sequence[Item]) -> None:
        """Have the writer's thread write them."""
        with self._wake:
            if self._closing:
                raise LogError(f"{self._path} is closed: open it again to write")
            self._items.extend(items)
            self._wake.notify()

    def _begins(self) -> bool:
        """Whether the caller may write now, in its own thread; then it releases `_writing`."""
        if self._items or not self._writing.acquire(blocking=False):
            return False
        if self._closing:
            self._writing.release()
            return False
        return True

    def close(self) -> None:
        """Write what was submitted, then stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()
            with self._writing:  # somebody may be writing in a thread of his own
                self._checkpointer.close()

    def disconnect(self) -> None:
        """Let go of the file; nothing may be submitted any more."""
        self._db.close()
        self._turns.close()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._items and not self._closing:
                    self._wake.wait()
                if not self._items:
                    return
            with self._writing:
                # Taken only now: whatever has come while another thread wrote goes along.
                group = [self._items.popleft() for _ in range(min(len(self._items), _GROUP))]
                self._commit(group, self._turns.mine())

    def _commit(self, group: Sequence[Item], turn: AbstractContextManager[None], *, waits: bool = True) -> bool:
        """Whether it is known now what became of them: not when the file is held, and the caller does not wait."""
        self._deciding = threading.get_ident()
        try:
            with turn:
                if not self._begin(waits=waits):
                    return False
                outcomes = self._landed(group)
        except BaseException as error:
            with contextlib.suppress(Exception):  # of a damaged file; what went wrong first is told
                self._abandon()
            for item in group:
                item.settle((), explained(error, self._path))
            if not isinstance(error, Exception):  # an interrupt of the thread that was lent
                raise
            return True
        finally:
            self._deciding = None
        fresh: list[Record] = []
        for item, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Landed):
                fresh += outcome.fresh
                item.settle(outcome.records)
            else:
                item.settle((), explained(outcome, self._path))
        if fresh:
            self._committed(fresh)
        with contextlib.suppress(sqlite3.Error):  # what is committed stays so; the next commit will say it
            self._checkpointer.committed(self._db, len(fresh))
        return True

    def _landed(self, group: Sequence[Item]) -> Sequence[Landed | Exception]:
        """All in one transaction. Savepoints, which cost a third of it, only when one of them has failed."""
        try:
            landed = [self._land(item) for item in group]
        except Exception:
            if len(group) == 1:
                raise
            self._abandon()
            return self._landed_apart(group)
        self._end()
        return landed

    def _landed_apart(self, group: Sequence[Item]) -> list[Landed | Exception]:
        outcomes: list[Landed | Exception] = []
        self._begin()
        for item in group:
            mark = self._transaction.mark()
            self._db.execute("savepoint item")
            try:
                outcomes.append(self._land(item))
            except Exception as error:
                if not self._db.in_transaction:  # SQLite itself ends it when the disk is full: for all of them
                    raise
                self._db.execute("rollback to item")
                self._transaction.forget(mark)
                outcomes.append(error)
            self._db.execute("release item")
        self._end()
        return outcomes

    def _begin(self, *, waits: bool = True) -> bool:
        """Begin; false when another program holds the file, which asked for no turn, and the caller does not wait."""
        try:
            self._db.execute(_BEGIN)
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            if not waits:
                return False
            self._db.execute(f"pragma busy_timeout = {_schema.BUSY_MS}")
            try:
                self._db.execute(_BEGIN)
            finally:
                self._db.execute("pragma busy_timeout = 0")
        self._transaction.begin()
        return True

    def _land(self, item: Item) -> Landed:
        return self._transaction.land(item.work, item.encoded, item.expected, at=item.at)

    def _end(self) -> None:
        self._transaction.seal()
        self._place.check()
        self._db.execute("commit")

    def _abandon(self) -> None:
        self._transaction.doubt()
        if self._db.in_transaction:
            self._db.execute("rollback")


def _resolve(future: Future[Sequence[Record]], item: Item) -> None:
    if item.error is not None:
        future.set_exception(item.error)
    else:
        future.set_result(item.records)
