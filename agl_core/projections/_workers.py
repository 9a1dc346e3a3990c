"""Workers: who takes rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agl_core.events import WorkerJoined, WorkerLeft
from agl_core.record import Record

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Workers"]


class Workers:
    """`workers`."""

    name: ClassVar[str] = "workers"
    version: ClassVar[int] = 1
    tables: ClassVar[Mapping[str, str]] = {
        "workers": """
            create table workers (
              worker_id text primary key,
              host text not null,
              pid integer not null,
              joined_at integer not null,
              left_at integer
            ) strict, without rowid"""
    }

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in."""
        match record.event:
            case WorkerJoined() as event:
                db.execute(
                    "insert into workers values (?, ?, ?, ?, null) on conflict do update "
                    "set host = excluded.host, pid = excluded.pid, joined_at = excluded.joined_at, left_at = null",
                    (event.worker_id, event.host, event.pid, record.recorded_at),
                )
            case WorkerLeft() as event:
                db.execute("update workers set left_at = ? where worker_id = ?", (record.recorded_at, event.worker_id))
