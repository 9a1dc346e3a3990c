"""The bare limit: the writes of our log, recorded once, done again by SQLite alone.

What the limit does: the same inserts, updates and deletes with the same parameters, in the same transactions, on a
fresh file of the same layout, pages, indexes and pragmas. Parameters are ready: text and bytes as they were bound.

What it does not do: encode, hash, redact or validate anything; read anything, so it checks no key, version or lease;
name, stamp or number an event; hand work from one thread to another; answer anybody.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from agl_core.log import SqliteLog
from bench._contestants._logs import bytes_on_disk, fresh, open_log

__all__ = ["Recording", "record", "replay"]

_TRIGGERS = "select name from sqlite_master where type = 'trigger'"
_WRITES = ("begin", "commit", "insert", "update", "delete", "replace")


@dataclass(slots=True)
class Recording:
    """What a connection was told."""

    pragmas: list[str] = field(default_factory=list)
    writes: list[tuple[str, str, Any]] = field(default_factory=list)
    """`execute` or `executemany`, the statement, and its parameters."""
    rows: dict[str, int] = field(default_factory=dict)
    """How many each table had in the end: a replay must come to the same."""


class _Recorded(sqlite3.Connection):
    """A connection that remembers its writes."""

    heard: Recording

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if _starts(sql, ("pragma",)):
            self.heard.pragmas.append(sql)
        elif _starts(sql, _WRITES):
            self.heard.writes.append(("execute", sql, parameters))
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        rows = list(parameters)
        self.heard.writes.append(("executemany", sql, rows))
        return super().executemany(sql, rows)


@contextmanager
def _recording() -> Iterator[list[Recording]]:
    """What each new connection of this process is told. The one place that knows how a log connects."""
    found: list[Recording] = []
    connect = sqlite3.connect

    def recorded(*arguments: Any, **named: Any) -> sqlite3.Connection:
        named["factory"] = _Recorded
        db: _Recorded = connect(*arguments, **named)
        db.heard = Recording()
        found.append(db.heard)
        return db

    with patch("sqlite3.connect", recorded):
        yield found


def record(work: Callable[[SqliteLog], None], *, durability: str) -> Recording:
    """What the log's writer told SQLite while it did `work`; nothing of how the file was made."""
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder, _recording() as connections:
        log = open_log(Path(folder, "log.db"), durability=durability)
        for connection in connections:
            connection.writes.clear()
        work(log)
        rows = _rows(log.rows)
        log.close()
    writer = max(connections, key=lambda connection: len(connection.writes))
    return Recording(pragmas=writer.pragmas, writes=writer.writes, rows=rows)


def replay(recording: Recording, *, triggers: bool = True) -> tuple[float, int]:
    """Seconds that SQLite alone takes for the same writes, and bytes on disk; without the file's triggers if asked."""
    with fresh() as log:
        path = log.path
        log.close()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for pragma in recording.pragmas:
                db.execute(pragma)
            for (trigger,) in () if triggers else db.execute(_TRIGGERS).fetchall():
                db.execute(f'drop trigger "{trigger}"')
            steps = [partial(getattr(db, how), sql, parameters) for how, sql, parameters in recording.writes]
            before = perf_counter()
            for step in steps:
                step()
            seconds = perf_counter() - before
            found = _rows(lambda sql: db.execute(sql).fetchall())
        size = bytes_on_disk(path)
    if found != recording.rows:
        raise AssertionError(f"the limit wrote other rows than the log: {found}, not {recording.rows}")
    return seconds, size


def _rows(ask: Callable[[str], Sequence[Any]]) -> dict[str, int]:
    tables = ask("select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by name")
    return {name: ask(f'select count(*) from "{name}"')[0][0] for (name,) in tables}  # noqa: S608 - names of its own


def _starts(sql: str, words: Sequence[str]) -> bool:
    return sql.lstrip().lower().startswith(tuple(words))
