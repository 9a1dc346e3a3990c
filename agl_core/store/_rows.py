"""Rows of the store's tables, as values: the columns that are read, and what lists can be sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agl_core import resources
from agl_core.errors import BadValue
from agl_core.events import RolloutEnqueued
from agl_core.record import Record
from agl_core.resources import ResourcesUpdate
from agl_core.store._types import Attempt, AttemptedRollout, Rollout, Worker, rollout_config

__all__ = [
    "ATTEMPT",
    "ATTEMPTS",
    "BUNDLES",
    "ROLLOUT",
    "ROLLOUTS",
    "SPANS",
    "WORKER",
    "WORKERS",
    "attempt",
    "bundle",
    "handed_out",
    "many",
    "rollout",
    "worker",
]

_SECOND = 1e9
ROLLOUTS = {
    "rollout_id": "rollout_id",
    "start_time": "position",
    "end_time": "finished_at",
    "status": "status",
    "mode": "mode",
    "exit_status": "exit_status",
    "resources_id": "resources_id",
    "task_id": "task_id",
    "run_id": "run_id",
}
"""What rollouts can be sorted by."""
ATTEMPTS = {
    "sequence_id": "sequence",
    "attempt_id": "attempt_id",
    "start_time": "started_at",
    "end_time": "ended_at",
    "status": "status",
    "worker_id": "worker_id",
}
"""What attempts can be sorted by."""
SPANS = {
    "sequence_id": "sequence_id",
    "attempt_id": "attempt_id",
    "span_id": "span_id",
    "trace_id": "trace_id",
    "parent_id": "parent_id",
    "name": "name",
    "status": "status",
    "start_time": "started_at",
    "end_time": "ended_at",
}
"""What spans can be sorted by."""
BUNDLES = {
    "resources_id": "resources_id",
    "version": "version",
    "create_time": "position",
    "update_time": "position",
}
"""What resources can be sorted by."""
WORKERS = {
    "worker_id": "worker_id",
    "status": "status",
    "last_heartbeat_time": "heartbeat_at",
    "last_dequeue_time": "dequeued_at",
    "last_busy_time": "busy_at",
    "last_idle_time": "idle_at",
    "current_rollout_id": "rollout_id",
    "current_attempt_id": "attempt_id",
}
"""What workers can be sorted by."""

ROLLOUT = (
    "rollout_id, position, input_position, run_id, task_id, grp, repeat, mode, status, exit_status, resources_id, "
    "resources_version, attempt_id, attempts, config, metadata, enqueued_at, finished_at"
)
ATTEMPT = (
    "a.attempt_id, a.rollout_id, sequence, worker_id, token, status, exit_status, error, metadata, started_at, "
    "ended_at, (select json_extract(data, '$.beat') from in_flight f where f.kind = 'lease' and f.id = a.attempt_id)"
)
WORKER = (
    "w.worker_id, w.position, host, pid, status, rollout_id, attempt_id, dequeued_at, busy_at, idle_at, "
    "json_extract(f.data, '$.at') as heartbeat_at, json_extract(f.data, '$.stats') as stats "
    "from workers w left join in_flight f on f.kind = 'worker' and f.id = w.worker_id"
)


def many(values: Sequence[str] | None) -> str | None:
    """One parameter for however many values, as JSON; `json_each` reads it."""
    try:
        return None if values is None else msgspec.json.encode(list(values)).decode()
    except UnicodeEncodeError as error:
        raise BadValue("id", error.object, why="half of a surrogate pair is no text") from None


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / _SECOND


def rollout(row: Any, input: Any, tried: Attempt | None) -> Rollout:
    (
        rollout_id, _, _, run_id, task_id, group, repeat, mode, status, exit_status, resources_id, version,
        _, attempts, config, metadata, enqueued, finished,
    ) = row  # fmt: skip
    fields: dict[str, Any] = {
        "rollout_id": rollout_id,
        "input": input,
        "start_time": enqueued / _SECOND,
        "end_time": _seconds(finished),
        "mode": mode,
        "resources_id": resources_id,
        "resources_version": version,
        "status": status,
        "exit_status": exit_status,
        "config": rollout_config(config),
        "metadata": msgspec.json.decode(metadata),
        "task_id": task_id,
        "run_id": run_id,
        "group": group,
        "repeat": repeat,
        "attempts": attempts,
    }
    return Rollout(**fields) if tried is None else AttemptedRollout(**fields, attempt=tried)


def handed_out(record: Record) -> Rollout:
    """What a rollout is when nothing but that has happened to it."""
    event = record.event
    assert isinstance(event, RolloutEnqueued)
    return Rollout(
        rollout_id=event.rollout_id, input=event.input, start_time=record.recorded_at / _SECOND, mode=event.mode,
        resources_id=event.resources_id, resources_version=event.resources_version, config=event.config,
        metadata=event.metadata, task_id=event.task_id, run_id=event.run_id, group=event.group, repeat=event.repeat,
    )  # fmt: skip


def attempt(row: Any) -> Attempt:
    (
        attempt_id, rollout_id, sequence, worker_id, token, status, exit_status, error, metadata, started, ended, beat,
    ) = row  # fmt: skip
    return Attempt(
        rollout_id=rollout_id, attempt_id=attempt_id, sequence_id=sequence, start_time=started / _SECOND,
        end_time=_seconds(ended), status=status, exit_status=exit_status, error=error, worker_id=worker_id,
        last_heartbeat_time=_seconds(beat), metadata=msgspec.json.decode(metadata), token=token,
    )  # fmt: skip


def worker(row: Any) -> Worker:
    worker_id, _, host, pid, status, rollout_id, attempt_id, dequeued, busy, idle, heartbeat, stats = row
    return Worker(
        worker_id=worker_id, host=host, pid=pid, status=status, current_rollout_id=rollout_id,
        current_attempt_id=attempt_id, last_dequeue_time=_seconds(dequeued), last_busy_time=_seconds(busy),
        last_idle_time=_seconds(idle), last_heartbeat_time=_seconds(heartbeat),
        heartbeat_stats=None if stats is None else msgspec.json.decode(stats),
    )  # fmt: skip


def bundle(row: Any) -> ResourcesUpdate:
    """A row of `resources`."""
    resources_id, version, parent, why, data, created = row
    return ResourcesUpdate(
        resources_id=resources_id,
        version=version,
        create_time=created / _SECOND,
        update_time=created / _SECOND,
        resources={name: resources.load(inner) for name, inner in msgspec.json.decode(data).items()},
        parent=parent,
        why=why,
    )
