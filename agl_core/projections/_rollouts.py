"""Rollouts, their attempts, and the queue of those that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import msgspec

from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    AttemptUpdated,
    CallRecorded,
    Event,
    RewardGiven,
    RolloutCancelled,
    RolloutDeleted,
    RolloutEnqueued,
    RolloutFinished,
    RolloutUpdated,
    SpanRecorded,
)
from agl_core.record import Record

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Rollouts", "exit_to_status"]

_STATUS = {
    "completed": "succeeded",
    "gave_up": "succeeded",
    "max_turns": "succeeded",
    "timeout": "timeout",
    "unresponsive": "unresponsive",
    "worker_lost": "unresponsive",
    "stalled": "timeout",
}


def exit_to_status(exit_status: str) -> str:
    """Agent Lightning's attempt status for an exit status of ours."""
    return _STATUS.get(exit_status, "failed")


class Rollouts:
    """`rollouts`, `attempts` and `queue`; `tallies` counts by status, so that nobody has to.

    An attempt's `fence` is where its lease was lost: what it brings after that position does not count.
    """

    name: ClassVar[str] = "rollouts"
    version: ClassVar[int] = 2
    hears: ClassVar[tuple[type[Event], ...]] = (
        RolloutEnqueued,
        AttemptStarted,
        CallRecorded,
        SpanRecorded,
        RewardGiven,
        AttemptFinished,
        AttemptExpired,
        AttemptUpdated,
        RolloutUpdated,
        RolloutFinished,
        RolloutCancelled,
        RolloutDeleted,
    )
    tables: ClassVar[Mapping[str, str]] = {
        "rollouts": """
            create table rollouts (
              rollout_id text primary key,
              position integer not null,
              input_position integer not null,
              run_id text,
              task_id text not null,
              grp text,
              repeat integer not null,
              mode text,
              status text not null,
              exit_status text,
              resources_id text,
              resources_version integer,
              attempt_id text,
              attempts integer not null default 0,
              parent text,
              config text not null,
              metadata text not null,
              hidden integer not null default 0,
              enqueued_at integer not null,
              finished_at integer
            ) strict, without rowid;
            create index rollouts_position on rollouts (hidden, position);
            create index rollouts_status on rollouts (hidden, status, position);
            create index rollouts_run on rollouts (run_id, grp, position);
            create trigger rollouts_come after insert on rollouts begin
              insert into tallies values (new.status, 1) on conflict do update set rollouts = rollouts + 1;
            end;
            create trigger rollouts_change after update of status, hidden on rollouts
              when (old.status, old.hidden) <> (new.status, new.hidden) begin
              update tallies set rollouts = rollouts - (old.hidden = 0) where status = old.status;
              insert into tallies values (new.status, new.hidden = 0)
                on conflict do update set rollouts = rollouts + excluded.rollouts;
            end""",
        "tallies": """
            create table tallies (
              status text primary key,
              rollouts integer not null
            ) strict, without rowid""",
        "attempts": """
            create table attempts (
              attempt_id text primary key,
              rollout_id text not null,
              sequence integer not null,
              worker_id text not null,
              token integer not null,
              status text not null,
              exit_status text,
              error text,
              metadata text not null default '{}',
              started_at integer not null,
              ended_at integer,
              fence integer
            ) strict, without rowid;
            create index attempts_rollout on attempts (rollout_id, sequence)""",
        "queue": """
            create table queue (
              position integer primary key,
              rollout_id text not null unique
            ) strict""",
    }

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in."""
        match record.event:
            case RolloutEnqueued() as event:
                _enqueue(db, record, event)
            case AttemptStarted() as event:
                _start(db, record, event)
            case CallRecorded() | SpanRecorded() | RewardGiven() as event if event.attempt_id:
                _run(db, event.rollout_id, event.attempt_id)
            case AttemptFinished() as event:
                _end(db, record, event, error=event.error, late=event.late)
            case AttemptExpired() as event:
                _end(db, record, event, error=event.why, late=False)
            case AttemptUpdated() as event:
                _update_attempt(db, event)
            case RolloutUpdated() as event:
                _update(db, record, event)
            case RolloutFinished() as event:
                _settle(db, record, event.rollout_id, event.status, event.exit_status)
            case RolloutCancelled() | RolloutDeleted() as event:
                _cancel(db, record, event)


def _enqueue(db: sqlite3.Connection, record: Record, event: RolloutEnqueued) -> None:
    db.execute(
        "insert into rollouts (rollout_id, position, input_position, run_id, task_id, grp, repeat, mode, status, "
        "resources_id, resources_version, parent, config, metadata, enqueued_at) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, 'queuing', ?, ?, ?, ?, ?, ?)",
        (
            event.rollout_id, record.position, record.position, event.run_id, event.task_id, event.group, event.repeat,
            event.mode, event.resources_id, event.resources_version, event.parent, _json(event.config),
            _json(event.metadata), record.recorded_at,
        ),
    )  # fmt: skip
    db.execute("insert into queue values (?, ?)", (record.position, event.rollout_id))


def _start(db: sqlite3.Connection, record: Record, event: AttemptStarted) -> None:
    db.execute(
        "insert into attempts values (?, ?, ?, ?, ?, 'preparing', null, null, '{}', ?, null, null)",
        (event.attempt_id, event.rollout_id, event.sequence, event.worker_id, event.token, record.recorded_at),
    )
    db.execute(
        "update rollouts set status = 'preparing', attempt_id = ?, attempts = ? where rollout_id = ?",
        (event.attempt_id, event.sequence, event.rollout_id),
    )
    db.execute("delete from queue where rollout_id = ?", (event.rollout_id,))


def _update(db: sqlite3.Connection, record: Record, event: RolloutUpdated) -> None:
    values: dict[str, object] = {}
    for what in event.changed:
        match what:
            case "input":
                values |= {"input_position": record.position, "task_id": event.task_id}
            case "mode":
                values["mode"] = event.mode
            case "resources":
                values |= {"resources_id": event.resources_id, "resources_version": event.resources_version}
            case "config":
                values["config"] = _json(event.config)
            case "metadata":
                values["metadata"] = _json(event.metadata)
    _set(db, "rollouts", "rollout_id", event.rollout_id, values)


def _update_attempt(db: sqlite3.Connection, event: AttemptUpdated) -> None:
    values: dict[str, object] = {}
    if "worker_id" in event.changed:
        values["worker_id"] = event.worker_id
    if "metadata" in event.changed:
        values["metadata"] = _json(event.metadata)
    _set(db, "attempts", "attempt_id", event.attempt_id, values)
    if event.status == "running":
        _run(db, event.rollout_id, event.attempt_id)


def _set(db: sqlite3.Connection, table: str, column: str, id_: str, values: Mapping[str, object]) -> None:
    if values:
        sql = f"update {table} set {', '.join(f'{name} = ?' for name in values)} where {column} = ?"  # noqa: S608 - ours
        db.execute(sql, (*values.values(), id_))


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _run(db: sqlite3.Connection, rollout_id: str, attempt_id: str) -> None:
    """The first sign of work; later ones change nothing."""
    sql = "update attempts set status = 'running' where attempt_id = ? and status = 'preparing'"
    if db.execute(sql, (attempt_id,)).rowcount:
        db.execute(
            "update rollouts set status = 'running' where rollout_id = ? and attempt_id = ? and status = 'preparing'",
            (rollout_id, attempt_id),
        )


def _end(
    db: sqlite3.Connection, record: Record, event: AttemptFinished | AttemptExpired, *, error: str | None, late: bool
) -> None:
    if late:
        return
    db.execute(
        "update attempts set status = ?, exit_status = ?, error = ?, ended_at = ?, fence = ? "
        "where attempt_id = ? and ended_at is null",
        (
            exit_to_status(event.exit_status), event.exit_status, error, record.recorded_at,
            record.position if isinstance(event, AttemptExpired) else None, event.attempt_id,
        ),
    )  # fmt: skip
    # Waiting again, unless the next record of the same transaction settles it.
    changed = db.execute(
        "update rollouts set status = 'requeuing' "
        "where rollout_id = ? and status in ('preparing', 'running') and attempt_id = ?",
        (event.rollout_id, event.attempt_id),
    )
    if changed.rowcount:
        db.execute(
            "insert or ignore into queue select position, rollout_id from rollouts where rollout_id = ?",
            (event.rollout_id,),
        )


def _cancel(db: sqlite3.Connection, record: Record, event: RolloutCancelled | RolloutDeleted) -> None:
    """Its open attempt ends with it."""
    db.execute(
        "update attempts set status = 'failed', error = ?, ended_at = ? where rollout_id = ? and ended_at is null",
        (f"cancelled: {event.why}", record.recorded_at, event.rollout_id),
    )
    _settle(db, record, event.rollout_id, "cancelled", None)
    if isinstance(event, RolloutDeleted):
        db.execute("update rollouts set hidden = 1 where rollout_id = ?", (event.rollout_id,))


def _settle(db: sqlite3.Connection, record: Record, rollout_id: str, status: str, exit_status: str | None) -> None:
    db.execute(
        "update rollouts set status = ?, exit_status = ?, finished_at = ? "
        "where rollout_id = ? and status not in ('succeeded', 'failed', 'cancelled')",
        (status, exit_status, record.recorded_at, rollout_id),
    )
    db.execute("delete from queue where rollout_id = ?", (rollout_id,))
