"""Tables out of facts: folded from the log again, in the place of those that are there."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from agl_core.codec import Codec
from agl_core.errors import RunHeld
from agl_core.log import _schema
from agl_core.log._erased import foldable
from agl_core.log._owner import Owner, is_alive
from agl_core.log._protocol import Projection
from agl_core.log._sqlite import SqliteLog
from agl_core.log._tables import Tables
from agl_core.log._turns import Turns

__all__ = ["Progress", "rebuild"]

Progress = Callable[[int, int], None]
"""Hears how many are done, and of how many."""


def rebuild(
    path: Path,
    projections: Sequence[Projection],
    *,
    codec: Codec | None = None,
    progress: Progress = lambda _done, _all: None,
) -> int:
    """Bring the file to today's layout, drop the tables of `projections` and fold them again; how many records.

    In one transaction: others see the tables as they were, or as they are to be. Raises `RunHeld` while a living
    process drives a run: it keeps its own meaning of the tables, and must be gone first.
    """
    turns = Turns(path)
    with contextlib.closing(turns), turns.mine():
        _schema.check(path)
        with (
            SqliteLog(path, readonly=True, codec=codec) as log,
            contextlib.closing(_schema.connect(path)) as db,
            _schema.transaction(db),
        ):
            _refuse_while_driven(db)
            for projection in projections:
                _drop(db, projection)
            _schema.install(db, projections)
            head, tables = log.head(), Tables(projections)
            for record in foldable(log, until=head):
                tables.apply(record, db)
                if record.position % 1000 == 0 or record.position == head:
                    progress(record.position, head)
            return head


def _refuse_while_driven(db: sqlite3.Connection) -> None:
    for run_id, holder in db.execute("select id, owner from in_flight where kind = 'run'").fetchall():
        owner = Owner.parse(holder)
        if is_alive(owner) is not False:
            raise RunHeld(run_id, holder=f"process {owner.pid} on {owner.host}")


def _drop(db: sqlite3.Connection, projection: Projection) -> None:
    for table in projection.tables:
        db.execute(f"drop table if exists {table}")
    db.execute("delete from projections where name = ?", (projection.name,))
