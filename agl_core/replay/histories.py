"""A recorded log that nobody writes to: what is to be written must be in it already."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agl_core.algorithm._reaction import unwritten
from agl_core.codec import Codec
from agl_core.errors import KeyReused, LogCorrupt, LogNotFound
from agl_core.events import MetricsLogged, RolloutEnqueued
from agl_core.log import Format, SqliteLog, unpack
from agl_core.log._gathering import Unheard
from agl_core.log._in_flight import InFlight
from agl_core.log._protocol import NOTHING, Decide, Expected, Work
from agl_core.log._schema import address
from agl_core.projections import CORE
from agl_core.record import Draft, Record
from agl_core.replay._tale import Beyond, Tale
from agl_core.run._sides import diverged

__all__ = ["History", "opened"]

_GZIP = b"\x1f\x8b"


class History(SqliteLog):
    """Reads as the log does. What is appended is looked up: found, another (`ReplayDiverged`), or past its end."""

    tale: Tale
    """Of the run that goes through it."""

    def append(self, drafts: Sequence[Draft], *, expected: Expected = NOTHING) -> Sequence[Record]:
        """Their records."""
        return [self._found(draft) for draft in drafts]

    def transact(self, decide: Decide) -> Sequence[Record]:
        """The records of what is decided."""
        with self.reading() as db:
            drafts = decide(_Look(db))
        return self.append(drafts)

    def submit(self, work: Work, *, expected: Expected = NOTHING, eager: bool = False) -> Future[Sequence[Record]]:
        """The same, at once."""
        future: Future[Sequence[Record]] = Future()
        future.set_result(self._done(work))
        return future

    def soon(
        self, work: Work, *, expected: Expected = NOTHING, unheard: Unheard | None = None
    ) -> asyncio.Future[Sequence[Record]]:
        """The same, at once; past the end of the history, never."""
        future: asyncio.Future[Sequence[Record]] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self._done(work))
        except Beyond:
            return future
        return future

    def _done(self, work: Work) -> Sequence[Record]:
        return self.transact(work) if callable(work) else self.append(work)

    def _found(self, draft: Draft) -> Record:
        record = self.get(draft.key) if draft.key else None
        if record is None:
            if isinstance(draft.event, MetricsLogged):  # numbers for people are not compared
                self.tale.unlogged += 1
                return unwritten([draft])[0]
            raise self.tale.missing(draft.key or f"{draft.event.type} of {draft.stream}")
        self.tale.met.add(str(draft.key))
        asked = self.codec.encode(draft.event).event
        if record.event != asked:
            if isinstance(asked, RolloutEnqueued):  # who asks for it knows how to tell of it
                raise KeyReused(str(draft.key), position=record.position, differs="data")
            sides = msgspec.to_builtins(record.event), msgspec.to_builtins(asked)
            raise diverged(str(draft.key), record, recorded=sides[0], asked=sides[1])
        return record


class _Look:
    """What a decision sees of it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self.in_flight = db, InFlight(db)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._db.execute(sql, parameters).fetchall()

    def version(self, stream: str) -> int:
        sql = "select coalesce(max(version), 0) from events where stream = ?"
        return int(self.rows(sql, (stream,))[0][0])


@contextmanager
def opened(source: Path, codec: Codec) -> Iterator[History]:
    """A private copy of a log, or of an export, gzipped or not: the source is read once, and never written to."""
    with tempfile.TemporaryDirectory(prefix="agl-history-") as folder:
        path = Path(folder, "log.db")
        _copy(source, path, codec)
        with History(path, projections=CORE, codec=codec, readonly=True) as log:
            yield log


def _copy(source: Path, path: Path, codec: Codec) -> None:
    if Format.of(source) == Format.SQLITE:
        db = sqlite3.connect(address(source, readonly=True), uri=True)
        with closing(db), closing(sqlite3.connect(path)) as copy:
            db.backup(copy)
        SqliteLog(path, projections=CORE, codec=codec).close()  # brings its tables up to today's
        return
    if not source.is_file():
        raise LogNotFound(str(source))
    try:
        unpack(_unzipped(source, path.parent), path, projections=CORE, codec=codec)
    except LogCorrupt as error:
        raise LogCorrupt(str(source), why=error.facts["why"]) from None


def _unzipped(source: Path, folder: Path) -> Path:
    with source.open("rb") as file:
        if file.read(2) != _GZIP:
            return source
    plain = folder / source.name.removesuffix(".gz")
    try:
        with gzip.open(source) as packed, plain.open("xb") as target:
            shutil.copyfileobj(packed, target)
    except (EOFError, OSError, zlib.error) as error:
        raise LogCorrupt(str(source), why=str(error)) from None
    return plain
