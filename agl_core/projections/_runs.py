"""Runs: where each stands, the numbers it logged, the batches it formed, the weights it served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import msgspec

from agl_core.events import (
    BatchFormed,
    CheckpointSaved,
    Event,
    MetricsLogged,
    PolicyUpdated,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
)
from agl_core.record import Record

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Runs"]


class Runs:
    """`runs`, `metrics`, `batches`, `policies` and `checkpoints`."""

    name: ClassVar[str] = "runs"
    version: ClassVar[int] = 1
    hears: ClassVar[tuple[type[Event], ...]] = (
        RunStarted,
        RunResumed,
        RunFinished,
        RunFailed,
        MetricsLogged,
        BatchFormed,
        PolicyUpdated,
        CheckpointSaved,
    )
    tables: ClassVar[Mapping[str, str]] = {
        "runs": """
            create table runs (
              run_id text primary key,
              position integer not null,
              agent text not null,
              algorithm text not null,
              seed integer not null,
              status text not null,
              why text,
              resumed integer not null default 0,
              result text,
              started_at integer not null,
              ended_at integer
            ) strict, without rowid""",
        "metrics": """
            create table metrics (
              run_id text not null,
              step integer not null,
              name text not null,
              value real not null,
              primary key (run_id, name, step)
            ) strict, without rowid""",
        "batches": """
            create table batches (
              batch_id text primary key,
              position integer not null,
              run_id text not null,
              adapter text not null,
              rollouts integer not null,
              captured integer not null,
              kept integer not null,
              rows integer not null,
              dropped text not null,
              masked text not null
            ) strict, without rowid;
            create index batches_run on batches (run_id, position)""",
        "policies": """
            create table policies (
              position integer primary key,
              run_id text not null,
              policy text not null,
              version integer not null,
              checkpoint text not null
            ) strict""",
        "checkpoints": """
            create table checkpoints (
              position integer primary key,
              run_id text not null,
              checkpoint_id text not null,
              digest text not null,
              bytes integer not null
            ) strict""",
    }

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in."""
        match record.event:
            case RunStarted() as event:
                db.execute(
                    "insert into runs (run_id, position, agent, algorithm, seed, status, started_at) "
                    "values (?, ?, ?, ?, ?, 'running', ?)",
                    (
                        event.run_id, record.position, event.agent.name, event.algorithm.name, event.seed,
                        record.recorded_at,
                    ),
                )  # fmt: skip
            case RunResumed() as event:
                db.execute(
                    "update runs set status = 'running', resumed = resumed + 1, why = null, ended_at = null "
                    "where run_id = ?",
                    (event.run_id,),
                )
            case RunFinished() as event:
                result = msgspec.json.encode(event.result, order="sorted").decode()
                db.execute(
                    "update runs set status = 'finished', result = ?, ended_at = ? where run_id = ?",
                    (result, record.recorded_at, event.run_id),
                )
            case RunFailed() as event:
                db.execute(
                    "update runs set status = 'failed', why = ?, ended_at = ? where run_id = ?",
                    (f"{event.code}: {event.why}", record.recorded_at, event.run_id),
                )
            case MetricsLogged() as event:
                db.executemany(
                    "insert or ignore into metrics values (?, ?, ?, ?)",
                    [(event.run_id, event.step, name, value) for name, value in event.metrics.items()],
                )
            case BatchFormed() as event:
                dropped, masked = (
                    msgspec.json.encode(reasons, order="sorted").decode() for reasons in (event.dropped, event.masked)
                )
                db.execute(
                    "insert into batches values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        event.batch_id, record.position, event.run_id, event.adapter, len(event.rollouts),
                        event.captured, event.kept, event.rows, dropped, masked,
                    ),
                )  # fmt: skip
            case PolicyUpdated() as event:
                db.execute(
                    "insert into policies values (?, ?, ?, ?, ?)",
                    (record.position, event.run_id, event.policy, event.version, event.checkpoint),
                )
            case CheckpointSaved() as event:
                db.execute(
                    "insert into checkpoints values (?, ?, ?, ?, ?)",
                    (record.position, event.run_id, event.checkpoint_id, event.digest, event.bytes),
                )
