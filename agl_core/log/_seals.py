"""A chain of hashes over the facts: whoever changes one in the file has to make every later seal again.

The leaf of an event is blake2b-256 of its row: a JSON array of the twelve columns beside `data`, in order and without
blanks, a line feed, and `data` as it is. A seal is blake2b-256 of the seal before it (32 zero bytes for the first) and
of the leaves of the events since; it stands at the last of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

__all__ = ["broken", "last", "leaf", "link", "seal"]

_NOTHING = bytes(32)
_STRETCH = "select * from events where position > ? and position <= ? order by position"
_ERASED = '{"erased":"b2:'
_encode = msgspec.json.Encoder().encode


def leaf(row: Sequence[Any]) -> bytes:
    """What an event adds to its seal; an erased one has left its leaf where its data was."""
    data = row[6]
    if data.startswith(_ERASED) and len(data) == len(_ERASED) + 66:
        return bytes.fromhex(data[len(_ERASED) : -2])
    made = blake2b(_encode((*row[:6], *row[7:])), digest_size=32)
    made.update(b"\n" + data.encode())
    return made.digest()


def link(before: bytes, leaves: Iterable[bytes]) -> bytes:
    """The seal that follows `before`."""
    made = blake2b(before, digest_size=32)
    for one in leaves:
        made.update(one)
    return made.digest()


def last(db: sqlite3.Connection) -> tuple[int, bytes]:
    """Position and hash of the newest seal."""
    found = db.execute("select position, hash from seals order by position desc limit 1").fetchone()
    return (found[0], bytes(found[1])) if found else (0, _NOTHING)


def seal(db: sqlite3.Connection) -> None:
    """Seal what stands behind the newest seal."""
    position, before = last(db)
    head = position
    made = blake2b(before, digest_size=32)
    for row in db.execute("select * from events where position > ? order by position", (position,)):
        made.update(leaf(row))
        head = row[0]
    if head > position:
        db.execute("insert into seals values (?, ?)", (head, made.digest()))


def broken(db: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """Stretches `(after, until)` of the log that are not what was sealed; each is told once, the chain goes on."""
    before, start = _NOTHING, 0
    for position, hash_ in db.execute("select position, hash from seals order by position"):
        rows = db.execute(
            "select * from events where position > ? and position <= ? order by position", (start, position)
        )
        if link(before, map(leaf, rows)) != bytes(hash_):
            yield start, position
        before, start = bytes(hash_), position
    head = db.execute("select coalesce(max(position), 0) from events").fetchone()[0]
    if head != start:
        yield start, head
