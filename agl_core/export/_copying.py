"""From SQLite to DuckDB, as Arrow batches: two libraries never open one file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agl_core.export._views import Column, View
from agl_core.log import Archive, Format, SqliteLog
from agl_core.projections import CORE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["copy", "make", "opened", "snapshot"]

_BATCH = 4096
_READ = {"JSON": "{}::json", "TIMESTAMP": "make_timestamp({})", "BOOLEAN": "{} <> 0"}
_WRITE = {"TIMESTAMP": "({}) / 1000"}


def opened(path: Path) -> SqliteLog:
    """The log at a path for reading, whatever it lies in."""
    if Format.meant(path) == Format.SQLITE:
        return SqliteLog(path, readonly=True)
    return Archive(path, projections=CORE)


@contextlib.contextmanager
def snapshot(log: SqliteLog) -> Iterator[sqlite3.Connection]:
    """A connection that sees one moment of the log, while others write."""
    with log.reading() as source:
        source.execute("begin")
        try:
            yield source
        finally:
            source.execute("rollback")


def make(db: DuckDBPyConnection, view: View) -> None:
    """The table of a view, empty."""
    declared = ", ".join(f'"{column.name}" {column.type}' for column in view.columns)
    db.execute(f"create table {view.name} ({declared})")


def copy(source: sqlite3.Connection, db: DuckDBPyConnection, view: View, columns: Sequence[Column]) -> None:
    """Fill some columns of a view's table."""
    import nanoarrow

    read = ", ".join(_WRITE.get(column.type, "{}").format(column.source) for column in columns)
    write = ", ".join(
        _READ.get(column.type, "{}").format(f'"{column.name}"') + f' as "{column.name}"' for column in columns
    )
    kinds = [_arrow(column.type) for column in columns]
    schema = nanoarrow.struct(dict(zip((column.name for column in columns), kinds, strict=True)))
    rows = source.execute(f"select {read} from {view.source}")  # noqa: S608 - names of ours
    while page := rows.fetchmany(_BATCH):
        children = [
            nanoarrow.c_array(values, kind) for values, kind in zip(zip(*page, strict=True), kinds, strict=True)
        ]
        batch = nanoarrow.c_array_from_buffers(schema, len(page), [None], children=children)
        db.register("arriving", nanoarrow.ArrayStream(batch))
        db.execute(f"insert into {view.name} by name select {write} from arriving")  # noqa: S608 - the same
        db.unregister("arriving")


def _arrow(type_: str) -> Any:
    import nanoarrow

    match type_:
        case "DOUBLE":
            return nanoarrow.float64()
        case "VARCHAR" | "JSON":
            return nanoarrow.string()
        case _:
            return nanoarrow.int64()
