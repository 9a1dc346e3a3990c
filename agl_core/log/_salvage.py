"""What is left in a damaged file, gathered in a database of its own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from agl_core.errors import AglError, LogNotFound
from agl_core.ids import content_id
from agl_core.log import _schema
from agl_core.log._carving import PAGE, carved

__all__ = ["salvaged", "stretches"]

_TABLES = """
create table events (
  position integer primary key, id text not null unique, stream text not null, version integer not null,
  type text not null, schema integer not null, data text not null, key text unique, causation_id text,
  correlation_id text, actor text not null, occurred_at integer not null, recorded_at integer not null,
  unique (stream, version)
);
create table blobs (place integer, id text primary key, content blob not null);
create table seals (position integer primary key, hash blob not null);
create table secrets (name text primary key, value blob not null);
"""
_EVENT: tuple[tuple[type, ...], ...] = (
    (int,), (str,), (str,), (int,), (str,), (int,), (str,), (str, type(None)), (str, type(None)), (str, type(None)),
    (str,), (int,), (int,),
)  # fmt: skip
_BLOCK = 1 << 20


def salvaged(source: Path, folder: Path) -> sqlite3.Connection:
    """Everything that can be read of `source`, which is not touched: its bytes are copied to `folder` first."""
    if not source.is_file():
        raise LogNotFound(str(source))
    copy = folder / "damaged.db"
    _copy(source, copy)
    wal = source.with_name(source.name + "-wal")
    if wal.is_file():
        _copy(wal, copy.with_name(copy.name + "-wal"))
    db = sqlite3.connect(folder / "salvaged.db", isolation_level=None)
    db.execute("pragma journal_mode = off")
    db.executescript(_TABLES)
    is_whole = _read(copy, db)
    if not is_whole:
        _settle(copy)
        db.execute("begin")
        for number, values in carved(copy):
            _keep_carved(db, number, values)
        db.execute("commit")
    return db


def _copy(source: Path, target: Path) -> None:
    """Byte for byte; what the disk itself cannot read is empty, a page at a time."""
    with source.open("rb", buffering=0) as file, target.open("wb") as made:
        size = os.fstat(file.fileno()).st_size
        for start in range(0, size, _BLOCK):
            length = min(_BLOCK, size - start)
            try:
                made.write(os.pread(file.fileno(), length, start))
            except OSError:
                for at in range(start, start + length, PAGE):
                    width = min(PAGE, size - at)
                    try:
                        made.write(os.pread(file.fileno(), width, at))
                    except OSError:
                        made.write(bytes(width))


# --- by SQLite, as far as it finds its way


def _read(copy: Path, into: sqlite3.Connection) -> bool:
    """Whether all of it could be read."""
    with contextlib.suppress(AglError, sqlite3.Error):
        _schema.check(copy)  # an older layout is brought up, if it can be
    try:
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
            is_whole = all(row == ("ok",) for row in db.execute("pragma integrity_check"))
            parts = [
                _table(db, into, "events", "position", _keep_event),
                _table(db, into, "blobs", "place", _keep_blob),
                _table(db, into, "seals", "position", _keep_seal),
                _table(db, into, "secrets", "name", _keep_secret),
            ]
            return is_whole and all(parts)
    except (sqlite3.DatabaseError, ValueError):  # the latter for a name, or a complaint, that is no text any more
        return False


def _table(db: sqlite3.Connection, into: sqlite3.Connection, table: str, key: str, keep: Callable[..., None]) -> bool:
    """From its beginning to where it breaks, then from its end; what lies between is left to the pages."""
    for order in ("asc", "desc"):
        into.execute("begin")
        try:
            for row in db.execute(f"select * from {table} order by {key} {order}"):  # noqa: S608 - our own names
                keep(into, row)
        except (sqlite3.DatabaseError, ValueError):
            continue
        else:
            return True
        finally:
            into.execute("commit")
    return False


# --- by its pages


def _settle(copy: Path) -> None:
    """Move the write-ahead log into the copy; a first page that SQLite refuses gives way to an empty one."""
    for attempt in range(2):
        try:
            with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
                db.execute("pragma wal_checkpoint(truncate)")
            return
        except (sqlite3.DatabaseError, ValueError):
            if attempt == 0:
                _put_first_page(copy)


def _put_first_page(copy: Path) -> None:
    empty = copy.with_name("empty.db")
    with contextlib.closing(sqlite3.connect(empty)) as db:
        db.execute("pragma journal_mode = wal")
        db.execute(f"pragma application_id = {_schema.APPLICATION}")
    page = empty.read_bytes()[:PAGE].ljust(PAGE, b"\0")
    with copy.open("r+b") as file:
        file.write(page)


def _keep_carved(db: sqlite3.Connection, number: int, values: tuple[Any, ...]) -> None:
    match values:
        case (None, str(), *_) if len(values) == 13:
            _keep_event(db, (number, *values[1:]))
        case (None, str(), bytes()):
            _keep_blob(db, (number, *values[1:]))
        case (None, bytes() as seal) if len(seal) == 32:
            _keep_seal(db, (number, seal))
        case ("log", bytes()):
            _keep_secret(db, values)


# --- what is a row of ours


def _keep_event(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    is_ours = all(isinstance(value, kinds) for value, kinds in zip(row, _EVENT, strict=True))
    if is_ours and row[0] >= 1 and row[3] >= 1 and _is_json(row[6]):
        db.execute("insert or ignore into events values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _keep_blob(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    place, id_, content = row
    if isinstance(content, bytes) and content_id(content) == id_:
        db.execute("insert or ignore into blobs values (?, ?, ?)", (place, id_, content))


def _keep_seal(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    if isinstance(row[1], bytes) and row[0] >= 1:
        db.execute("insert or ignore into seals values (?, ?)", row)


def _keep_secret(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    db.execute("insert or ignore into secrets values (?, ?)", row)


def _is_json(data: str) -> bool:
    try:
        msgspec.json.decode(data)
    except msgspec.MsgspecError:
        return False
    return True


def stretches(positions: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Neighbours as one: 4, 5, 6, 9 are (4, 6), (9, 9)."""
    first = last = None
    for position in positions:
        if last is not None and position == last + 1:
            last = position
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = position
    if first is not None and last is not None:
        yield first, last
