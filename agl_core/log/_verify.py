"""Proof that a log still means what it said."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agl_core.codec import before, references
from agl_core.errors import AglError, LogBusy, LogCorrupt
from agl_core.ids import content_id
from agl_core.log import _seals
from agl_core.log._blobs import likely
from agl_core.log._failures import explained
from agl_core.log._folding import Progress
from agl_core.log._foreign import strangers
from agl_core.log._memory import Recent, scratch
from agl_core.log._refolding import differences
from agl_core.log._sqlite import SqliteLog

__all__ = ["Finding", "verify"]

_PAGE = 500
_UNIQUE = {("id",), ("key",), ("stream", "version")}
_ERASED = "select one.value from events, json_each(data, '$.ids') one where events.type = 'blobs.erased'"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    what: str
    """One word that stays as it is: `file`, `position`, `version`, `unique`, `seal`, `reference`, `foreign`,
    `projection`; only a deep look finds `event` and `blob`."""
    where: str
    why: str


def verify(log: SqliteLog, *, deep: bool = True, progress: Progress = lambda _done, _all: None) -> Iterator[Finding]:
    """Everything that is wrong with the log, in constant memory.

    A look that is not `deep` proves the structure of the file, order, seals, references and foreign ids. A deep one
    also reads every event and every blob as a reader would, and folds the tables again.
    """
    try:
        yield from _findings(log, deep=deep, progress=progress)
    except LogCorrupt as error:  # nothing behind a broken page can be looked at
        yield Finding("file", str(log.path), str(error.why))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # a text, or the name of a table, that is none
        if isinstance(explained(error, str(log.path)), LogBusy):
            raise
        yield Finding("file", str(log.path), str(error))


def _findings(log: SqliteLog, *, deep: bool, progress: Progress) -> Iterator[Finding]:
    check = "integrity_check" if deep else "quick_check"
    with log.reading() as db, _snapshot(db):
        for (row,) in db.execute(f"pragma {check}"):
            if row != "ok":
                yield Finding("file", str(log.path), row)
        yield from _order(db)
        for after, until in _seals.broken(db):
            yield Finding("seal", f"{after + 1}-{until}", "its events are not those that were sealed")
        for where, why in strangers(db):
            yield Finding("foreign", where, why)
    yield from _references(log, progress if not deep else lambda _done, _all: None)
    if not deep:
        yield from _tables(log)
        return
    yield from _blobs(log)
    is_readable = True
    for finding in _events(log, progress):
        is_readable = False
        yield finding
    if is_readable:  # what cannot be read cannot be folded
        for where, why in differences(log):
            yield Finding("projection", where, f"{why}: `agl log rebuild`")


@contextlib.contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """One state of the log while it lasts: writers go on meanwhile."""
    db.execute("begin")
    try:
        yield
    finally:
        with contextlib.suppress(sqlite3.Error):  # of a damaged file
            db.execute("rollback")


def _order(db: sqlite3.Connection) -> Iterator[Finding]:
    head, count = db.execute("select coalesce(max(position), 0), count(*) from events").fetchone()
    if count != head:
        yield Finding("position", str(head), f"the last position is {head}, and there are {count} events")
    for stream, last, number in db.execute("select stream, max(version), count(*) from events group by 1"):
        if last != number:
            yield Finding("version", stream, f"its last version is {last}, and it has {number} events")
    unique = {
        tuple(column for _, _, column in db.execute("select * from pragma_index_info(?)", (name,)))
        for _, name, is_unique, *_ in db.execute("pragma index_list(events)").fetchall()
        if is_unique
    }
    for columns in sorted(_UNIQUE - unique):
        yield Finding("unique", ", ".join(columns), "nothing keeps it unique: its index is gone")


# --- what an event is made of


def _references(log: SqliteLog, progress: Progress) -> Iterator[Finding]:
    """Each blob that an event needs and that is neither there nor named in a `blobs.erased`."""
    walked: Recent[str] = Recent()
    with contextlib.closing(scratch("create table erased (id text primary key) without rowid")) as erased:
        with log.reading() as db:
            erased.executemany("insert or ignore into erased values (?)", db.execute(_ERASED))
        for position, data in _pages(log, "position, data", progress):
            with log.reading() as db:
                if not any(_missing(db, mark, tip, walked) for mark, tip in likely(data)):
                    continue
                for mark, tip in references(data):
                    if (missing := _missing(db, mark, tip, walked)) and not _is_erased(erased, missing):
                        yield Finding("reference", str(position), f"blob {missing} is missing")


def _missing(db: sqlite3.Connection, mark: str, tip: str, walked: Recent[str]) -> str | None:
    at: str | None = tip
    while at is not None and at not in walked:
        found = db.execute("select content from blobs where id = ?", (at,)).fetchone()
        if found is None:
            return at
        walked.add(at)
        try:
            at = before(mark, bytes(found[0]))
        except (AglError, ValueError, LookupError):
            return None  # its bytes are not what they were: a deep look says so
    return None


def _is_erased(erased: sqlite3.Connection, id_: str) -> bool:
    return erased.execute("select 1 from erased where id = ?", (id_,)).fetchone() is not None


def _blobs(log: SqliteLog) -> Iterator[Finding]:
    at = -1
    while True:
        with log.reading() as db:
            rows = db.execute("select place, id, content from blobs where place > ? order by place limit 100", (at,))
            number = 0
            for place, id_, content in rows:
                number, at = number + 1, place
                if content_id(content) != id_:
                    yield Finding("blob", id_, "its bytes do not have that hash")
        if not number:
            return


# --- reading as a reader would


def _events(log: SqliteLog, progress: Progress) -> Iterator[Finding]:
    log.codec.forget()  # what is remembered would hide that it is gone
    head = log.head()
    for after in range(0, head, _PAGE):
        until = min(after + _PAGE, head)
        yield from _unreadable(log, after, until)
        progress(until, head)


def _unreadable(log: SqliteLog, after: int, until: int) -> Iterator[Finding]:
    """A stretch that cannot be read is halved until the events that are at fault stand alone."""
    try:
        for _ in log.read(after=after, until=until):
            pass
    except AglError as error:
        if until - after == 1:
            yield Finding("event", str(until), str(error))
            return
        middle = (after + until) // 2
        yield from _unreadable(log, after, middle)
        yield from _unreadable(log, middle, until)


def _pages(log: SqliteLog, columns: str, progress: Progress) -> Iterator[Any]:
    head = log.head()
    sql = f"select {columns} from events where position > ? and position <= ? order by position"  # noqa: S608
    for after in range(0, head, _PAGE):
        until = min(after + _PAGE, head)
        with log.reading() as db:
            yield from db.execute(sql, (after, until))
        progress(until, head)


def _tables(log: SqliteLog) -> Iterator[Finding]:
    """The tables are there; whether they are right, only a deep look can tell."""
    known = {name for (name,) in log.rows("select name from projections")}
    there = {name for (name,) in log.rows("select name from sqlite_master where type = 'table'")}
    for projection in log.projections:
        if projection.name in known:
            for table in sorted(set(projection.tables) - there):
                yield Finding("projection", f"{projection.name}.{table}", "no such table: `agl log rebuild`")
