"""Proof that a log still means what it said."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from agl_core.errors import AglError, LogCorrupt
from agl_core.ids import content_id
from agl_core.log import _schema
from agl_core.log._folding import Progress, fold
from agl_core.log._sqlite import SqliteLog

__all__ = ["Finding", "verify"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    what: str
    """`file`, `position`, `version`, `event`, `blob` or `projection`."""
    where: str
    why: str


def verify(log: SqliteLog, *, progress: Progress = lambda _done, _all: None) -> Iterator[Finding]:
    """Everything that is wrong with the log: the file, the order, each event, each blob, each projection."""
    try:
        yield from _findings(log, progress)
    except LogCorrupt as error:  # nothing behind a broken page can be looked at
        yield Finding("file", str(log.path), str(error.why))


def _findings(log: SqliteLog, progress: Progress) -> Iterator[Finding]:
    for (row,) in log.rows("pragma integrity_check"):
        if row != "ok":
            yield Finding("file", str(log.path), row)
    head, count = log.rows("select coalesce(max(position), 0), count(*) from events")[0]
    if count != head:
        yield Finding("position", str(head), f"the last position is {head}, and there are {count} events")
    for stream, last, number in log.rows("select stream, max(version), count(*) from events group by 1"):
        if last != number:
            yield Finding("version", stream, f"its last version is {last}, and it has {number} events")
    yield from _blobs(log)
    unreadable = list(_events(log, head, progress))
    yield from unreadable
    if not unreadable:  # what cannot be read cannot be folded
        yield from _projections(log)


def _blobs(log: SqliteLog) -> Iterator[Finding]:
    at = ""
    while page := log.rows("select id, content from blobs where id > ? order by id limit 1000", (at,)):
        for id_, content in page:
            if content_id(content) != id_:
                yield Finding("blob", id_, "its bytes do not have that hash")
        at = page[-1][0]


def _events(log: SqliteLog, head: int, progress: Progress) -> Iterator[Finding]:
    log.codec.forget()  # what is remembered would hide that it is gone
    for position in range(1, head + 1):
        try:
            next(iter(log.read(after=position - 1, until=position)), None)
        except AglError as error:
            yield Finding("event", str(position), str(error))
        if position % 1000 == 0 or position == head:
            progress(position, head)


def _projections(log: SqliteLog) -> Iterator[Finding]:
    known = {name for (name,) in log.rows("select name from projections")}
    kept = [projection for projection in log.projections if projection.name in known]
    with contextlib.closing(_schema.connect(log.path, readonly=True)) as db:
        db.execute("begin")  # one snapshot: writers go on meanwhile
        head = db.execute("select coalesce(max(position), 0) from events").fetchone()[0]
        with contextlib.closing(fold(log, kept, until=head)) as folded:
            for projection in kept:
                for table in projection.tables:
                    try:
                        want, have = _rows(folded, table), _rows(db, table)
                    except sqlite3.OperationalError as error:
                        yield Finding("projection", f"{projection.name}.{table}", f"{error}: `agl log rebuild`")
                        continue
                    if want != have:
                        wrong = f"{len(want - have)} rows are missing or stale, {len(have - want)} are too many"
                        yield Finding("projection", f"{projection.name}.{table}", f"{wrong}: `agl log rebuild`")


def _rows(db: sqlite3.Connection, table: str) -> set[tuple[object, ...]]:
    return set(db.execute(f"select * from {table}"))  # noqa: S608 - our own table names
