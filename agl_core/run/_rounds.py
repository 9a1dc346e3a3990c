"""A round of rollouts: what was asked for under its name, what came of it as of when it was read, and what stops it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agl_core.errors import KeyReused, RolloutFailed, RolloutsForbidden, TooManyFailed
from agl_core.events import OutcomesRead, RolloutConfig, RolloutEnqueued
from agl_core.ids import canonical, task_id
from agl_core.log import SqliteLog
from agl_core.record import Record
from agl_core.resources import ResourcesUpdate
from agl_core.run._failures import Failures
from agl_core.run._journal import Journal, Movement
from agl_core.run._sides import diverged
from agl_core.store import EnqueueRolloutRequest, Outcome

if TYPE_CHECKING:
    from agl_core.run._base import Base

__all__ = ["check", "copies", "hand_out", "has_begun", "is_settled", "read_as_of", "refuse", "requests"]

_log = logging.getLogger(__name__)


def requests(
    run: Base,
    tasks: Sequence[Any],
    key: str,
    *,
    bundle: ResourcesUpdate | None,
    mode: str,
    repeat: int,
    sampling: Mapping[str, Any] | None,
    config: RolloutConfig | None = None,
) -> list[EnqueueRolloutRequest]:
    """What is asked for under a movement's key: each task `repeat` times, samples of one next to each other.

    Whatever a run hands out is asked for here; raises `RolloutsForbidden` where it is to hand out nothing.
    """
    if run.no_rollouts:
        raise RolloutsForbidden(f"{len(tasks) * repeat} of mode {mode}")
    return [
        EnqueueRolloutRequest(
            input=task,
            mode=mode,
            resources_id=bundle.resources_id if bundle else None,
            resources_version=bundle.version if bundle else None,
            config=run.failures.configured(config or run.rollout_config),
            metadata={"sampling": dict(sampling)} if sampling else {},
            run_id=run.id,
            group=key,
            repeat=sample,
            key=f"{key}/{n * repeat + sample}",
            copy=copy,
        )
        for n, (task, copy) in enumerate(zip(tasks, copies(tasks), strict=True))
        for sample in range(repeat)
    ]


def check(journal: Journal, key: str, requests: Sequence[EnqueueRolloutRequest]) -> None:
    """What was enqueued under this name must be what is asked for now; raises `ReplayDiverged`."""
    rows = journal.log.rows(
        "select coalesce(json_extract(metadata, '$.on_enqueue.task_id'), task_id), repeat, mode, rollout_id "
        "from rollouts where run_id = ? and grp = ? order by position",
        (journal.run_id, key),
    )
    asked = [(task_id(request.input, request.copy), request.repeat, request.mode) for request in requests]
    then = [row[:3] for row in rows]
    if not rows or then == asked:
        return
    first = next((n for n, (a, b) in enumerate(zip(then, asked, strict=False)) if a != b), min(len(rows), len(asked)))
    name = f"rollout {first + 1}"
    recorded, now = {"rollouts": len(rows)}, {"rollouts": len(asked)}
    record = _enqueued(journal, rows[first][3]) if first < len(rows) else None
    raise diverged(
        key,
        record or _enqueued(journal, rows[0][3]),
        recorded=recorded | ({name: _asked_then(record)} if record is not None else {}),
        asked=now | ({name: _asked_now(requests[first])} if first < len(asked) else {}),
    )


async def hand_out(run: Base, journal: Journal, key: str, requests: Sequence[EnqueueRolloutRequest]) -> list[str]:
    """Their ids; `ReplayDiverged` where one was asked for otherwise before, on other resources for instance."""
    try:
        return await run.store.enqueue(requests)
    except KeyReused as reused:
        record, request = journal.log.get(reused.key), next(one for one in requests if one.key == reused.key)
        if record is None:
            raise
        raise diverged(key, record, recorded=_asked_then(record), asked=_asked_now(request)) from reused


def _enqueued(journal: Journal, rollout_id: str) -> Record:
    return next(iter(journal.log.read(stream=f"rollout/{rollout_id}", limit=1)))


def _asked_then(record: Record) -> dict[str, Any]:
    event = record.event
    assert isinstance(event, RolloutEnqueued)
    return {
        "task": event.input,
        "mode": event.mode,
        "repeat": event.repeat,
        "resources": [event.resources_id, event.resources_version],
        "config": msgspec.to_builtins(event.config),
        "metadata": {name: value for name, value in event.metadata.items() if name != "on_enqueue"},
    }


def _asked_now(request: EnqueueRolloutRequest) -> dict[str, Any]:
    return {
        "task": request.input,
        "mode": request.mode,
        "repeat": request.repeat,
        "resources": [request.resources_id, request.resources_version],
        "config": msgspec.to_builtins(request.config or RolloutConfig()),
        "metadata": dict(request.metadata or {}),
    }


def copies(tasks: Sequence[Any]) -> list[int]:
    """How many equal ones stand before each task: samples of one are not compared with those of another."""
    seen: Counter[bytes] = Counter()
    found = []
    for key in map(canonical, tasks):
        found.append(seen[key])
        seen[key] += 1
    return found


def has_begun(journal: Journal, key: str) -> bool:
    """Whether rollouts were enqueued under this name."""
    return bool(journal.log.rows("select 1 from rollouts where run_id = ? and grp = ? limit 1", (journal.run_id, key)))


def is_settled(journal: Journal, key: str, count: int) -> bool:
    """Whether all rollouts of the round have come to their ends."""
    found = journal.log.rows(
        "select count(*) from rollouts where run_id = ? and grp = ? and status in ('succeeded', 'failed', 'cancelled')",
        (journal.run_id, key),
    )
    return bool(found[0][0] == count)


async def read_as_of(journal: Journal, movement: Movement) -> int:
    """The position up to which the log is read for what came of the round: where it stands, or stood the first time.

    A reward that comes later must not change what the algorithm was told: it may be what the next round is about.
    """
    if movement.recorded is not None:
        assert isinstance(movement.recorded.event, OutcomesRead)
        return movement.recorded.event.as_of
    as_of = journal.log.head()
    event = OutcomesRead(run_id=journal.run_id, as_of=as_of)
    await journal.log.soon([journal.draft(event, movement.key)])
    return as_of


def refuse(log: SqliteLog, outcomes: Sequence[Outcome], *, failures: Failures, most: float) -> None:
    """Raise `RolloutFailed` for an end that the run stops for, and `TooManyFailed` when over a share `most` is masked.

    A round of which nothing counts is at least warned of.
    """
    stops = [outcome for outcome in outcomes if failures.of_end(outcome.exit_status) == "fail"]
    if stops:
        ended = Counter(str(outcome.exit_status) for outcome in stops)
        raise RolloutFailed(ended, example=stops[0].rollout_id, error=_error(log, stops[0]))
    failed = [outcome for outcome in outcomes if outcome.mask not in {None, "cancelled"}]
    if not failed:
        return
    ended, example = Counter(str(outcome.mask) for outcome in failed), failed[0]
    if len(failed) > len(outcomes) * most:
        raise TooManyFailed(ended, of=len(outcomes), most=most, example=example.rollout_id, error=_error(log, example))
    if len(failed) == len(outcomes):
        _log.warning(
            "nothing can be learnt from %d rollout(s): %s (first: %s: %s)",
            len(outcomes),
            ", ".join(f"{count} {end}" for end, count in sorted(ended.items())),
            example.rollout_id,
            _error(log, example),
        )


def _error(log: SqliteLog, outcome: Outcome) -> str:
    """What its attempt said, or how it ended."""
    sql = "select a.error from rollouts r join attempts a on a.attempt_id = r.attempt_id where r.rollout_id = ?"
    found = log.rows(sql, (outcome.rollout_id,))
    return str((found and found[0][0]) or outcome.mask or outcome.exit_status)
