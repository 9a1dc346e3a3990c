"""Where blobs lie in the file: in the order of the events that needed them first."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from itertools import groupby

from agl_core.codec import before, references
from agl_core.errors import ContentErased, LogCorrupt

__all__ = ["WHOLE", "fetch", "find", "fresh", "likely", "needed", "place", "unplaced"]

_REFERENCE = re.compile(r'"(\$(?:u32|f32|chat|pool))"\s*:\s*"(b2:[0-9a-f]{64})"')
WHOLE = "whole"
"""What a past calls the log as it is now."""
_PLACES = 1 << 20
"""Blobs an event may bring: a million, which is 256 million token ids."""

Blob = tuple[str, bytes]


def place(position: int, number: int) -> int:
    """Row number of an event's `number`th fresh blob: appended in order, and found by the event's position."""
    return position * _PLACES + number


def find(db: sqlite3.Connection) -> Callable[[str], bytes | None]:
    """A blob by its id; None when it is not there."""

    def get(id_: str) -> bytes | None:
        found = db.execute("select content from blobs where id = ?", (id_,)).fetchone()
        return bytes(found[0]) if found else None

    return get


def fetch(db: sqlite3.Connection) -> Callable[[str], bytes]:
    """How the codec finds a blob by its id."""
    seek = find(db)

    def get(id_: str) -> bytes:
        content = seek(id_)
        if content is None:
            # Which ones were erased fills a list as long as there are; whether all that miss are on it, `verify` says.
            if db.execute(f"select 1 from {_all(db)}events where type = 'blobs.erased' limit 1").fetchone():  # noqa: S608 - ours
                raise ContentErased(f"blob {id_}")
            raise LogCorrupt("the log", why=f"blob {id_} is missing")
        return content

    return get


def _all(db: sqlite3.Connection) -> str:
    """Where every event is: what was erased later cannot be read in the past either."""
    names = {name for _, name, _ in db.execute("pragma database_list")}
    return f"{WHOLE}." if WHOLE in names else ""


def fresh(db: sqlite3.Connection, *, after: int, until: int) -> dict[int, list[Blob]]:
    """Position to the blobs that no event before it needed, for a stretch of the log."""
    sql = "select place, id, content from blobs where place >= ? and place < ? order by place"
    rows = db.execute(sql, (place(after + 1, 0), place(until + 1, 0)))
    return {position: [row[1:] for row in group] for position, group in groupby(rows, lambda row: row[0] // _PLACES)}


def likely(data: str) -> list[tuple[str, str]]:
    """As `references`, without decoding `data`; a value that only looks like a reference is among them."""
    return _REFERENCE.findall(data)


def needed(data: str | bytes, get: Callable[[str], bytes | None], known: Collection[str]) -> Iterator[Blob]:
    """The blobs an event is made of, without those in `known` and what those are made of; missing ones are left out."""
    for mark, tip in references(data):
        at: str | None = tip
        while at is not None and at not in known:
            content = get(at)
            if content is None:
                break
            yield at, content
            at = before(mark, content)


def unplaced(db: sqlite3.Connection) -> Iterator[tuple[int, list[Blob]]]:
    """For a file whose blobs lie by hash: each position with the blobs that no event before it needed."""
    get = find(db)
    known: set[str] = set()
    for position, data in db.execute("select position, data from events where data like '%\"b2:%' order by position"):
        new = dict(needed(data, get, known))
        known.update(new)
        yield position, list(new.items())
