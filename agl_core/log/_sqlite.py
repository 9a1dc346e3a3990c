"""The log in one SQLite file: what live runs write to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import WeakKeyDictionary

from agl_core.clock import Clock, System
from agl_core.codec import Codec
from agl_core.errors import LogCorrupt, LogGone, LogReadOnly
from agl_core.events import Event
from agl_core.log import _schema
from agl_core.log._blobs import fetch
from agl_core.log._checkpointing import Checkpointer
from agl_core.log._erased import foldable
from agl_core.log._failures import explained, is_damage
from agl_core.log._follow import Follower, Heard, Subscription
from agl_core.log._gathering import Gathering, Unheard
from agl_core.log._protocol import NOTHING, Decide, Expected, Projection, Work
from agl_core.log._read import Reader, record
from agl_core.log._tables import Tables
from agl_core.log._tally import Tally, clear, drafts, left
from agl_core.log._transaction import Transaction
from agl_core.log._turns import Turns
from agl_core.log._write import Writer
from agl_core.record import Draft, Record

if TYPE_CHECKING:
    from agl_core.log._past import Past, Pasts

__all__ = ["SqliteLog"]


class SqliteLog:
    """Append-only facts in SQLite (WAL): many processes, one file.

    `path` may be `:memory:`, which is a file in a private temporary folder, gone on `close`. `durability="full"`
    syncs each group to the disk, for power loss; `"normal"` survives `kill -9`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        projections: Sequence[Projection] = (),
        codec: Codec | None = None,
        clock: Clock | None = None,
        redact: Callable[[Draft], Draft] | None = None,
        durability: Literal["normal", "full"] = "normal",
        readonly: bool = False,
    ) -> None:
        self._temporary = Path(tempfile.mkdtemp(prefix="agl-")) if str(path) == ":memory:" else None
        self.path = self._temporary / "log.db" if self._temporary else Path(path).absolute()
        self.url = f"sqlite:///{self.path}"
        self.readonly = readonly
        self.codec = codec or Codec()
        self.projections = tuple(projections)
        self._clock: Clock = clock or System()
        self._redact = redact
        self._readers: list[sqlite3.Connection] = []
        self._gatherings: WeakKeyDictionary[asyncio.AbstractEventLoop, Gathering] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._closed = False
        self._reader = Reader(self.reading, self.codec)
        if readonly:
            _schema.check(self.path, readonly=True)
        self._follower = Follower(self._connect, self.read)
        self._tally: Tally | None = None
        self._pasts: Pasts | None = None
        self._writer = None if readonly else self._start_writing(durability)

    def _start_writing(self, durability: str) -> Writer:
        _schema.make(self.path)
        prepare = self._redact or (lambda draft: draft)
        turns = Turns(self.path)
        with turns.mine():
            _schema.check(self.path)
            db = _schema.connect(self.path)
            transaction = Transaction(
                db, codec=self.codec, clock=self._clock, projections=self.projections, prepare=prepare
            )
            try:
                self._bring_tables(db, durability)
                self._tell_lost(db, transaction, turns.file)
            except sqlite3.Error as error:
                db.close()
                raise explained(error, str(self.path)) from None
            except BaseException:
                db.close()
                raise
            self._tally = Tally(turns.file)
        return Writer(
            db,
            path=str(self.path),
            transaction=transaction,
            codec=self.codec,
            clock=self._clock,
            prepare=prepare,
            turns=turns,
            checkpointer=Checkpointer(lambda: _schema.connect(self.path)),
            committed=self._follower.push,
        )

    def _bring_tables(self, db: sqlite3.Connection, durability: str) -> None:
        db.execute(f"pragma synchronous = {'full' if durability == 'full' else 'normal'}")
        db.execute("pragma wal_autocheckpoint = 0")  # the checkpointer's work
        with _schema.transaction(db):
            _schema.refuse_foreign(db, self.projections)
            new = _schema.install(db, self.projections)
            tables = Tables(new)
            for record in foldable(self) if new else ():
                tables.apply(record, db)

    def _tell_lost(self, db: sqlite3.Connection, transaction: Transaction, file: int) -> None:
        """Write down what those who are gone had counted; if that cannot be written either, it stays where it is."""
        if not (found := left(file)):
            return
        try:
            with _schema.transaction(db):
                transaction.begin()
                transaction.land(lambda _view: drafts(found), None, NOTHING, at=self._clock.now())
                transaction.seal()
        except sqlite3.Error:
            transaction.doubt()
        else:
            clear(file, found)

    @property
    def artefacts(self) -> Path:
        """The folder beside the file where checkpoints lie by hash."""
        return self.path.with_name(self.path.name + ".d")

    def secret(self) -> bytes:
        """The log's own key, for tokens and redaction marks; it never leaves the file."""
        with self.reading() as db:
            return bytes(db.execute("select value from secrets where name = 'log'").fetchone()[0])

    # --- writing

    def append(self, drafts: Sequence[Draft], *, expected: Expected = NOTHING) -> Sequence[Record]:
        """All of `drafts` or none; they are durable when this returns."""
        return self._writing().write(drafts, expected)

    def transact(self, decide: Decide) -> Sequence[Record]:
        """Let `decide` look and write in one transaction."""
        return self._writing().write(decide, NOTHING)

    def submit(self, work: Work, *, expected: Expected = NOTHING, eager: bool = False) -> Future[Sequence[Record]]:
        """Write without waiting: the future resolves after commit.

        What is `eager` is written in the caller's own thread when nobody is in the way: sooner, and without what two
        changes of threads cost; but many that come at once are not one transaction then.
        """
        return self._writing().submit(work, expected, eager=eager)

    def soon(
        self, work: Work, *, expected: Expected = NOTHING, unheard: Unheard | None = None
    ) -> asyncio.Future[Sequence[Record]]:
        """As `submit`, for coroutines: what those of one loop write in one turn of it is one transaction.

        Cancelled, it is written all the same, and `unheard` hears of it.
        """
        loop, writer = asyncio.get_running_loop(), self._writing()
        gathering = self._gatherings.get(loop)
        if gathering is None:
            gathering = self._gatherings[loop] = Gathering(writer, loop)
        return gathering.add(work, expected, unheard)

    def owe(self, calls: int) -> None:
        """So many more calls are out of which the log took no note; fewer, when it is negative.

        What is owed when this process closes the log, or dies, is written down by whoever opens it next.
        """
        if self._tally is not None:
            self._tally.add(calls)

    def _writing(self) -> Writer:
        if self._writer is None:
            raise LogReadOnly(str(self.path), why="it was opened that way", cure="Open it without `readonly`")
        return self._writer

    # --- reading

    def read(
        self,
        *,
        after: int = 0,
        until: int | None = None,
        stream: str | None = None,
        types: Collection[str] = (),
        limit: int | None = None,
    ) -> Iterator[Record]:
        """Records in order, a page at a time, so that no reader holds the file."""
        return self._reader.read(after=after, until=until, stream=stream, types=types, limit=limit)

    def get(self, key: str) -> Record | None:
        """The record that carries an idempotency key."""
        with self.reading() as db:
            row = db.execute("select * from events where key = ?", (key,)).fetchone()
            return record(self.codec, row, fetch(db)) if row else None

    def records(self, positions: Sequence[int]) -> dict[int, Record]:
        """The records at those positions, in one read."""
        sql = "select * from events where position in (select value from json_each(?))"
        with self.reading() as db:
            get = fetch(db)
            found = db.execute(sql, (json.dumps(list(positions)),)).fetchall()
            return {row[0]: record(self.codec, row, get) for row in found}

    def event(self, type_: str, schema: int, data: str) -> Event:
        """What a row of `events` holds, its blobs in their places."""

        def get(id_: str) -> bytes:
            with self.reading() as db:
                return fetch(db)(id_)

        return self.codec.decode(type_, schema, data, get)

    def head(self) -> int:
        """Position of the last record."""
        return int(self.rows("select coalesce(max(position), 0) from events")[0][0])

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows of a query over events and projections, as of the last commit."""
        with self.reading() as db:
            return db.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that only reads, while it lasts."""
        with self._lock:
            db = self._readers.pop() if self._readers else None
        db = db or self._connect()
        try:
            yield db
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise LogCorrupt(str(self.path), why=str(error)) from None
            raise
        finally:
            with self._lock:
                if self._closed:
                    db.close()
                else:
                    self._readers.append(db)

    def _reach(self) -> sqlite3.Connection:
        return _schema.connect(self.path, readonly=True)

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._reach()
        except sqlite3.OperationalError:
            if self.path.exists():
                raise
            raise LogGone(str(self.path)) from None

    def at(self, position: int, *, streams: Sequence[str] = ()) -> Past:
        """The log as it was when that was its last position, for reading; closed with this one.

        Its tables are folded when somebody asks for a row, from the events up to there; of `streams` only, if named.
        0 is before the first event. Raises `BadValue` for a position that there is not.
        """
        with self._lock:
            if self._pasts is None:
                self._pasts = self._remembering()
        return self._pasts.at(position, streams)

    def _remembering(self) -> Pasts:
        from agl_core.log._past import Pasts

        return Pasts(self)

    # --- following

    def subscribe(self, heard: Heard, *, types: Collection[str] = ()) -> Subscription:
        """Hear of every commit from now on, in batches, off the writer's thread; of some `types` only, if named."""
        return self._follower.subscribe(heard, head=self.head(), types=types)

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """While it lasts, commits of other processes are heard of within 20 ms."""
        return self._follower.waiting()

    def close(self) -> None:
        """Finish what was submitted, and let go of the file."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._pasts is not None:
            self._pasts.close()
        if self._writer is not None:
            self._writer.close()
        self._follower.close()
        with self._lock:
            for db in self._readers:
                db.close()
            self._readers.clear()
        # Last, because it may write: then SQLite leaves one file, without its `-wal` and `-shm`.
        if self._tally is not None:
            self._tally.close()
        if self._writer is not None:
            self._writer.disconnect()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
