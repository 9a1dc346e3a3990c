"""What stands in an export: facts in order, in one shape whatever the file, read back as a stream.

A row of Parquet, a row of DuckDB's table `facts` and a line of JSON hold the same: the thirteen columns of `events`,
the blobs that no event before it needed, and the seal that stands at it, if one does.
"""

from __future__ import annotations

import contextlib
import glob
import sqlite3
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agl_core.errors import BadValue, LogCorrupt, LogNotFound
from agl_core.log._schema import address
from agl_core.log._sqlite import SqliteLog
from agl_core.log._stored import Stored

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["COLUMNS", "ENVELOPE", "Format", "digest", "facts", "seals"]

_PAGE = 500


class Format(StrEnum):
    """What kind of file a log may lie in; the value is the suffix."""

    SQLITE = "db"
    DUCKDB = "duckdb"
    PARQUET = "parquet"
    JSONL = "jsonl"

    @classmethod
    def named(cls, path: Path) -> Format:
        """As the suffix of a name says."""
        suffix = path.suffix.lower().removeprefix(".")
        found = _SUFFIXES.get(suffix)
        if found is None:
            why = f"a log lies in {', '.join('.' + one for one in cls)}: choose one of them, or say the format"
            raise BadValue("suffix", path.name, why=why)
        return found

    @classmethod
    def of(cls, path: Path) -> Format | None:
        """As the first bytes of a file say; None when it is not there, or none of these."""
        if _is_sqlite(path):
            return cls.SQLITE
        try:
            with path.open("rb") as file:
                start = file.read(16)
        except OSError:
            return None
        if start.startswith(b"PAR1"):
            return cls.PARQUET
        if start[8:12] == b"DUCK":
            return cls.DUCKDB
        return cls.JSONL if start.startswith(b'{"position":') else None

    @classmethod
    def meant(cls, path: Path) -> Format:
        """What is there; else what the name says; else SQLite."""
        return cls.of(path) or _SUFFIXES.get(path.suffix.lower().removeprefix("."), cls.SQLITE)


def _is_sqlite(path: Path) -> bool:
    """Asked of SQLite: to open the file by hand, and close it, would drop every lock that this process has on it.

    Then another process takes itself for the last that has the log open, and does away with the part of it that lies
    beside the file, which a log that is open here goes on writing to.
    """
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return False
        with contextlib.closing(sqlite3.connect(address(path, readonly=True), uri=True, timeout=0)) as db:
            db.execute("pragma schema_version")
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode not in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN}
    except OSError:
        return False
    return True


_SUFFIXES: dict[str, Format] = {
    **{str(one): one for one in Format},
    "sqlite": Format.SQLITE,
    "sqlite3": Format.SQLITE,
    "ndjson": Format.JSONL,
}

ENVELOPE: tuple[tuple[str, str], ...] = (
    ("position", "BIGINT"),
    ("id", "VARCHAR"),
    ("stream", "VARCHAR"),
    ("version", "BIGINT"),
    ("type", "VARCHAR"),
    ("schema", "BIGINT"),
    ("data", "VARCHAR"),
    ("key", "VARCHAR"),
    ("causation_id", "VARCHAR"),
    ("correlation_id", "VARCHAR"),
    ("actor", "VARCHAR"),
    ("occurred_at", "BIGINT"),
    ("recorded_at", "BIGINT"),
)
"""The columns of `events` in their order, as DuckDB calls their types; times are nanoseconds."""

COLUMNS = (*ENVELOPE, ("blobs", "STRUCT(id VARCHAR, content BLOB)[]"), ("seal", "BLOB"))
"""What an export keeps of an event."""


def digest(log: SqliteLog, *, at: int | None = None) -> str:
    """One hash of all facts of a log, from the first to the last: its newest seal. Equal logs have equal digests."""
    sql = "select hash from seals where position <= coalesce(?, position) order by position desc limit 1"
    found = log.rows(sql, (at,))
    return bytes(found[0][0]).hex() if found else ""


def facts(path: Path) -> Iterator[Stored]:
    """The facts of an export in order, in constant memory. Raises `LogCorrupt` for what is none."""
    if _is_text(path):
        for _, line in _lines(path):
            yield Stored(line.row(), tuple((blob.id, blob.bytes()) for blob in line.blobs))
        return
    names = ", ".join(f'"{name}"::{kind}' for name, kind in COLUMNS[:-1])
    for *row, blobs in _selected(path, names):
        yield Stored(tuple(row), tuple((blob["id"], blob["content"]) for blob in blobs or ()))


def seals(path: Path) -> Iterator[tuple[int, bytes]]:
    """The seals of an export in order, each with its position."""
    if _is_text(path):
        yield from ((line.position, bytes.fromhex(line.seal)) for _, line in _lines(path) if line.seal)
        return
    yield from _selected(path, "position::bigint, seal::blob", where="where seal is not null")


def _is_text(path: Path) -> bool:
    if not path.is_file():
        raise LogNotFound(str(path))
    return Format.of(path) not in {Format.PARQUET, Format.DUCKDB}


# --- DuckDB and Parquet


def _selected(path: Path, columns: str, *, where: str = "") -> Iterator[tuple[Any, ...]]:
    import duckdb

    try:
        with contextlib.closing(_connected(path)) as db:
            db.execute("set enable_progress_bar = false")  # at a prompt it would be printed among the data
            # Neither is sorted: both keep the order they were written in, and `assemble` refuses any other.
            db.execute(f"select {columns} from facts {where}")  # noqa: S608 - names of ours
            while page := db.fetchmany(_PAGE):
                yield from page
    except duckdb.Error as error:
        raise LogCorrupt(str(path), why=str(error).splitlines()[0]) from None


def _connected(path: Path) -> DuckDBPyConnection:
    import duckdb

    if Format.of(path) == Format.DUCKDB:
        # Somebody's file: its `facts` may be a view, and is to reach nothing outside.
        return duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    db = duckdb.connect(":memory:")
    db.read_parquet(glob.escape(str(path))).create_view("facts")
    return db


# --- JSON lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A blob in a line: as text where it is text, else in base 64."""

    id: str
    text: str | None = None
    base64: str | None = None

    def bytes(self) -> bytes:
        """What it holds."""
        return (self.text or "").encode() if self.base64 is None else b64decode(self.base64, validate=True)


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event in a line."""

    position: int
    id: str
    stream: str
    version: int
    type: str
    schema: int
    key: str | None
    causation_id: str | None
    correlation_id: str | None
    actor: str
    occurred_at: int
    recorded_at: int
    data: msgspec.Raw = msgspec.Raw(b"")
    """Its very bytes, not what they mean: seals are made of them."""
    text: str | None = None
    """In place of `data`, when that has line breaks of its own."""
    blobs: Sequence[Blob] = ()
    seal: str | None = None

    def row(self) -> tuple[Any, ...]:
        """As the log's table has it."""
        data = bytes(self.data).decode() if self.text is None else self.text
        return (
            self.position, self.id, self.stream, self.version, self.type, self.schema, data, self.key,
            self.causation_id, self.correlation_id, self.actor, self.occurred_at, self.recorded_at,
        )  # fmt: skip


@cache
def _decoder() -> msgspec.json.Decoder[Line]:
    return msgspec.json.Decoder(Line)


def _lines(path: Path) -> Iterator[tuple[int, Line]]:
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                yield number, _decoder().decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                # Rows, chats or tasks, which end alike: there is nothing of a log in it to be saved.
                cure = "Name a log, or what `agl log export` made of one" if number == 1 else ""
                raise LogCorrupt(str(path), why=f"line {number} is no event: {error}", cure=cure) from None
