"""Tables folded a second time, beside the log, and compared with those in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from agl_core.log._erased import foldable
from agl_core.log._layout import statements
from agl_core.log._memory import scratch
from agl_core.log._protocol import Projection
from agl_core.log._schema import address
from agl_core.log._sqlite import SqliteLog
from agl_core.log._tables import Tables

__all__ = ["differences"]


def differences(log: SqliteLog) -> Iterator[tuple[str, str]]:
    """Each table that is not what its facts make of it, and how far it is off; folded and compared on the disk."""
    known = {name for (name,) in log.rows("select name from projections")}
    kept = [projection for projection in log.projections if projection.name in known]
    with contextlib.closing(scratch()) as db:
        for projection in kept:
            for statement in statements(";".join(projection.tables.values())):
                db.execute(statement)
        head = log.head()
        _fold(log, kept, db, after=0, until=head)
        db.execute("attach ? as log", (address(log.path, readonly=True),))
        db.execute("begin")  # one state of the log from here on, a short while: writers could not start anew meanwhile
        now = db.execute("select coalesce(max(position), 0) from log.events").fetchone()[0]
        _fold(log, kept, db, after=head, until=now)
        for projection in kept:
            for table in projection.tables:
                if why := _difference(db, table):
                    yield f"{projection.name}.{table}", why
        db.execute("rollback")


def _fold(log: SqliteLog, kept: list[Projection], db: sqlite3.Connection, *, after: int, until: int) -> None:
    tables = Tables(kept)
    for record in foldable(log, after=after, until=until):
        tables.apply(record, db)


def _difference(db: sqlite3.Connection, table: str) -> str | None:
    try:
        missing, extra = (
            db.execute(f"select count(*) from (select * from {one}.{table} except select * from {other}.{table})")  # noqa: S608 - our own names
            for one, other in (("main", "log"), ("log", "main"))
        )
        counts = missing.fetchone()[0], extra.fetchone()[0]
    except sqlite3.OperationalError as error:
        return str(error)
    return f"{counts[0]} rows are missing or stale, {counts[1]} are too many" if any(counts) else None
