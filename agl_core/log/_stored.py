"""Facts on their way from one file to another: as they are stored, a page of a few megabytes at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agl_core.log._blobs import fresh, place
from agl_core.log._sqlite import SqliteLog

__all__ = ["Moving", "Page", "Stored", "pages", "stored"]

_BATCH = 4096
"""Events a page holds at most."""
_SOME = 32
_BYTES = 16 << 20
"""Of data, or of blobs, that end a page."""
_BETWEEN = "position > ? and position <= ?"

Moving = Callable[[int, int | None], None]
"""Hears how many events are done, and of how many, where that is known."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as a file keeps it: nothing is decoded, so nothing can be lost on the way."""

    row: tuple[Any, ...]
    """The thirteen columns of `events`, in their order."""
    blobs: Sequence[tuple[str, bytes]] = ()
    """Id and content of what no event before it needed."""


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a log, on its way to an export."""

    rows: Sequence[tuple[Any, ...]]
    blobs: Mapping[int, Sequence[tuple[str, bytes]]]
    """Position to what no event before it needed."""
    seals: Mapping[int, bytes]


def pages(log: SqliteLog, *, until: int, progress: Moving = lambda _done, _all: None) -> Iterator[Page]:
    """The log up to a position, in constant memory; others may write meanwhile."""
    start = 0
    while start < until:
        with log.reading() as db:
            page = _page(db, start, until)
        yield page
        start = page.rows[-1][0]
        progress(start, until)


def _page(db: sqlite3.Connection, start: int, until: int) -> Page:
    """So many rows that they, or what they brought, are a few megabytes; at least one."""
    stretch = (start, min(start + _BATCH, until))
    found = db.execute(f"select * from events where {_BETWEEN} order by position", stretch)  # noqa: S608 - a text of ours
    rows: list[tuple[Any, ...]] = []
    size = 0
    while size < _BYTES and (some := found.fetchmany(_SOME)):
        rows += some
        size += sum(len(row[6]) for row in some)
    found.close()
    end = _enough(db, start, rows[-1][0])
    sealed = db.execute(f"select position, hash from seals where {_BETWEEN}", (start, end))  # noqa: S608 - the same
    return Page(rows[: end - start], fresh(db, after=start, until=end), dict(sealed))


def _enough(db: sqlite3.Connection, start: int, end: int) -> int:
    """Where the blobs since `start` are enough for a page; SQLite tells their lengths without reading them."""
    sql = "select place, length(content) from blobs where place >= ? and place < ? order by place"
    size = 0
    for at, length in db.execute(sql, (place(start + 1, 0), place(end + 1, 0))):
        size += length
        if size > _BYTES:
            return max(start + 1, int(at) // place(1, 0) - 1)
    return end


def stored(log: SqliteLog, *, until: int | None = None) -> Iterator[Stored]:
    """The facts of a log in order, in constant memory."""
    for page in pages(log, until=log.head() if until is None else until):
        for row in page.rows:
            yield Stored(row, page.blobs.get(row[0], ()))
