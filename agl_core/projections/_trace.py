"""The trace of a rollout: what the attempt that counts left in the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agl_core.adapter import Trace, TraceReward
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    CallRecorded,
    RewardGiven,
    RewardWithdrawn,
    RolloutCancelled,
    RolloutEnqueued,
    RolloutFinished,
    SpanRecorded,
)
from agl_core.record import Record

__all__ = ["traces"]


def traces(stories: Iterable[Iterable[Record]]) -> Iterator[Trace]:
    """One trace for each rollout's stream. Pure: the same records give the same trace."""
    for story in stories:
        yield _trace(list(story))


def _trace(records: list[Record]) -> Trace:
    enqueued = next(record.event for record in records if isinstance(record.event, RolloutEnqueued))
    attempt_id, status, exit_status = "", "queuing", None
    for record in records:
        match record.event:
            case AttemptStarted() as event if status in {"queuing", "requeuing"}:
                attempt_id, status = event.attempt_id, "running"
            case AttemptFinished(late=False) | AttemptExpired() if status == "running":
                status = "requeuing"
            case RolloutFinished() as event if status != "cancelled":
                attempt_id, status, exit_status = event.attempt_id, event.status, event.exit_status
            case RolloutCancelled() if status not in {"succeeded", "failed"}:
                status = "cancelled"
    withdrawn = {record.event.reward for record in records if isinstance(record.event, RewardWithdrawn)}
    return Trace(
        rollout_id=enqueued.rollout_id,
        attempt_id=attempt_id,
        task_id=enqueued.task_id,
        input=enqueued.input,
        mode=enqueued.mode,
        status=status,
        exit_status=exit_status,
        repeat=enqueued.repeat,
        calls=tuple(
            record.event
            for record in records
            if isinstance(record.event, CallRecorded) and record.event.attempt_id == attempt_id
        ),
        spans=tuple(
            record.event
            for record in records
            if isinstance(record.event, SpanRecorded) and record.event.attempt_id == attempt_id
        ),
        rewards=tuple(
            TraceReward(id=record.id, given=record.event)
            for record in records
            if isinstance(record.event, RewardGiven)
            and record.event.attempt_id in {None, attempt_id}
            and record.id not in withdrawn
        ),
        metadata=enqueued.metadata,
    )
