"""A log as it was: the events up to a position, and tables that the head's own code folds from them."""

from __future__ import annotations

import contextlib
import heapq
import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agl_core.errors import BadValue, LogReadOnly
from agl_core.log import _schema
from agl_core.log._blobs import WHOLE, place
from agl_core.log._erased import foldable
from agl_core.log._failures import explained
from agl_core.log._in_flight import DDL
from agl_core.log._layout import PROJECTIONS, statements
from agl_core.log._protocol import Projection
from agl_core.log._sqlite import SqliteLog
from agl_core.log._tables import Tables
from agl_core.log._unfolded import Unfolded
from agl_core.log._write import Writer
from agl_core.record import Record

__all__ = ["Past", "Pasts", "check_position"]

_KEPT = 4
"""Pasts whose tables stay folded though nobody holds them: as many as one looks at by turns."""
_CUTS = {
    "events": "where position <= {position}",
    "blobs": "where place < {place}",
    "seals": "where position <= {position}",
    "secrets": "",
}
"""What a log keeps its facts in, and what of it was there."""
Key = tuple[int, tuple[str, ...]]


class Past(Unfolded):
    """What `log.at(position)` gives: it reads as the log did when that was its last position, while others write.

    What was under way then is not known: nothing of it is a fact. It is closed with the log that it is the past of.
    """

    def __init__(self, source: SqliteLog, position: int, *, streams: Sequence[str] = (), nearest: Past | None) -> None:
        self.source, self.position, self.streams = source, position, tuple(streams)
        self._nearest = weakref.ref(nearest) if nearest is not None else None
        self._folder = Path(tempfile.mkdtemp(prefix="agl-past-"))
        try:
            facts = _Cut(source, position, tables=None)
            super().__init__(source.path, facts=facts, projections=source.projections, codec=source.codec)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self.url = source.url
        self._let_go = weakref.finalize(self, _let_go, facts, self._readers, self._folder)

    def at(self, position: int, *, streams: Sequence[str] = ()) -> Past:
        """The log as it was before that."""
        check_position(position, head=self.position)
        return self.source.at(position, streams=streams)

    def within(self, *streams: str) -> Past:
        """The same, with tables of what those streams say and no other: one rollout of many is there at once."""
        return self.source.at(self.position, streams=streams)

    @property
    def artefacts(self) -> Path:
        """Those of the log."""
        return self.source.artefacts

    @property
    def tables(self) -> Path:
        """The file that they are folded into."""
        return self._folder / "tables.db"

    def fold(self) -> None:
        """From the first event on, or from where an earlier past of the same log has come."""
        self._refuse_closed()
        before = self._nearest() if self._nearest is not None else None
        self.tables.unlink(missing_ok=True)  # of a fold that failed
        start = before.position if before is not None and before.copy_tables(self.tables) else None
        try:
            self._fill(start)
        except sqlite3.Error as error:
            # Not the log is at fault, but where its tables were to be.
            raise explained(error, str(self.tables)) from None

    def _fill(self, start: int | None) -> None:
        with contextlib.closing(sqlite3.connect(self.tables, isolation_level=None)) as db:
            db.execute("pragma journal_mode = off")
            db.execute("pragma synchronous = off")
            db.execute("begin")
            if start is None:
                _lay_out(db, self.projections)
            tables = Tables(self.projections)
            for record in self._told(after=start or 0):
                tables.apply(record, db)
            db.execute("commit")

    def _told(self, *, after: int) -> Iterator[Record]:
        if not self.streams:
            return foldable(self.facts, after=after)
        each = (foldable(self.facts, after=after, stream=stream) for stream in self.streams)
        return heapq.merge(*each, key=lambda record: record.position)

    def copy_tables(self, path: Path) -> bool:
        """Write them to a file; False when they are not folded, or gone."""
        if not self._folded:
            return False
        try:
            shutil.copyfile(self.tables, path)
        except OSError:
            path.unlink(missing_ok=True)
            return False
        return True

    def close(self) -> None:
        """Nothing: others may look at the same past. It ends with its log, or when nobody holds it."""

    def end(self) -> None:
        """Let go of the file, and of the tables."""
        super().close()
        self._let_go()

    def _reach(self) -> sqlite3.Connection:
        self._refuse_closed()
        return _opened(self.source, self.position, self.tables)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise BadValue("at", self.position, why="the log that it is the past of was closed: open that again")

    def _writing(self) -> Writer:
        why = f"it is as it was at position {self.position}"
        raise LogReadOnly(str(self.source.path), why=why, cure="Write to the log as it is now")


class Pasts:
    """Those of one log: the same position is folded once, as long as somebody holds it or asked for it lately."""

    def __init__(self, source: SqliteLog, kind: type[Past] = Past) -> None:
        self._source, self._kind = source, kind
        self._known: weakref.WeakValueDictionary[Key, Past] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[Key, Past] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, position: int, streams: Sequence[str]) -> Past:
        """The log as it was there."""
        check_position(position, head=self._source.head())
        key = position, tuple(sorted(set(streams)))
        with self._lock:
            past = self._known.get(key)
            if past is None:
                past = self._kind(self._source, position, streams=key[1], nearest=self._nearest(key))
                self._known[key] = past
            self._recent[key] = past
            self._recent.move_to_end(key)
            while len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
            return past

    def _nearest(self, key: Key) -> Past | None:
        """The last one before, whose tables are a beginning of these."""
        position, streams = key
        found = [one for (at, of), one in list(self._known.items()) if of == streams and at < position]
        return max(found, key=lambda one: one.position, default=None)

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            for past in list(self._known.values()):
                past.end()
            self._recent.clear()


class _Cut(SqliteLog):
    """The facts alone."""

    def __init__(self, source: SqliteLog, position: int, *, tables: Path | None) -> None:
        self._cut = source, position, tables
        super().__init__(source.path, codec=source.codec, readonly=True)

    def _reach(self) -> sqlite3.Connection:
        return _opened(*self._cut)


def check_position(position: Any, *, head: int) -> None:
    """Refuse what is no position of a log that ends there."""
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position <= head:
        why = f"the log's positions are 1 to {head}, and 0 is before the first" if head else "nothing is in the log"
        raise BadValue("at", position, why=why)


def _opened(source: SqliteLog, position: int, tables: Path | None) -> sqlite3.Connection:
    """The tables, if there are, and before them the events up to there, by the names that the log has for them."""
    db = _schema.connect(tables, readonly=True) if tables else _schema.nowhere()
    try:
        db.execute("pragma temp_store = memory")
        db.execute(f"attach ? as {WHOLE}", (_schema.address(source.path, readonly=True),))
        for name, cut in _CUTS.items():
            where = cut.format(position=position, place=place(position + 1, 0))
            db.execute(f"create temp view {name} as select * from {WHOLE}.{name} {where}")  # noqa: S608 - our own names
    except BaseException:
        db.close()
        raise
    return db


def _lay_out(db: sqlite3.Connection, projections: Sequence[Projection]) -> None:
    for statement in statements(PROJECTIONS + DDL):
        db.execute(statement)
    _schema.install(db, projections)


def _let_go(facts: SqliteLog, readers: list[sqlite3.Connection], folder: Path) -> None:
    facts.close()
    for db in readers:
        db.close()
    readers.clear()
    shutil.rmtree(folder, ignore_errors=True)
