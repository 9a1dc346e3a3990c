"""Workers: who takes rollouts, and what each is at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    AttemptUpdated,
    Event,
    RolloutCancelled,
    RolloutDeleted,
    WorkerJoined,
    WorkerLeft,
)
from agl_core.record import Record

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Workers"]


class Workers:
    """`workers`. Who takes rollouts and never joined has no row."""

    name: ClassVar[str] = "workers"
    version: ClassVar[int] = 2
    hears: ClassVar[tuple[type[Event], ...]] = (
        WorkerJoined,
        WorkerLeft,
        AttemptStarted,
        AttemptUpdated,
        AttemptFinished,
        AttemptExpired,
        RolloutCancelled,
        RolloutDeleted,
    )
    tables: ClassVar[Mapping[str, str]] = {
        "workers": """
            create table workers (
              worker_id text primary key,
              position integer not null,
              host text not null,
              pid integer not null,
              status text not null default 'idle',
              rollout_id text,
              attempt_id text,
              dequeued_at integer,
              busy_at integer,
              idle_at integer,
              joined_at integer not null,
              left_at integer
            ) strict, without rowid;
            create index workers_rollout on workers (rollout_id) where rollout_id is not null"""
    }

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in."""
        match record.event:
            case WorkerJoined() as event:
                db.execute(
                    "insert into workers (worker_id, position, host, pid, idle_at, joined_at) "
                    "values (?, ?, ?, ?, ?, ?) on conflict do update "
                    "set host = excluded.host, pid = excluded.pid, joined_at = excluded.joined_at, left_at = null",
                    (event.worker_id, record.position, event.host, event.pid, record.recorded_at, record.recorded_at),
                )
            case WorkerLeft() as event:
                db.execute("update workers set left_at = ? where worker_id = ?", (record.recorded_at, event.worker_id))
            case AttemptStarted() as event:
                _take(db, record, event.worker_id, event.rollout_id, event.attempt_id)
            case AttemptUpdated(worker_id=str()) as event:
                _free(db, record, event.rollout_id, event.attempt_id, "idle")
                _take(db, record, event.worker_id or "", event.rollout_id, event.attempt_id)
            case AttemptFinished() as event:
                _free(db, record, event.rollout_id, event.attempt_id, "idle")
            case AttemptExpired() as event:
                _free(db, record, event.rollout_id, event.attempt_id, "unknown")
            case RolloutCancelled() | RolloutDeleted() as event:
                _free(db, record, event.rollout_id, None, "idle")


def _take(db: sqlite3.Connection, record: Record, worker_id: str, rollout_id: str, attempt_id: str) -> None:
    db.execute(
        "update workers set status = 'busy', rollout_id = ?, attempt_id = ?, dequeued_at = ?, busy_at = ? "
        "where worker_id = ?",
        (rollout_id, attempt_id, record.recorded_at, record.recorded_at, worker_id),
    )


def _free(db: sqlite3.Connection, record: Record, rollout_id: str, attempt_id: str | None, status: str) -> None:
    """Whoever is at that attempt is not any more."""
    db.execute(
        "update workers set status = ?, rollout_id = null, attempt_id = null, "
        "idle_at = case ? when 'idle' then ? else idle_at end "
        "where rollout_id = ? and (? is null or attempt_id = ?)",
        (status, status, record.recorded_at, rollout_id, attempt_id, attempt_id),
    )
