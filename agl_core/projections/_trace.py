"""The trace of a rollout: what the attempt that counts left in the log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agl_core.errors import ContentErased
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    CallRecorded,
    Event,
    RewardGiven,
    RewardWithdrawn,
    RolloutCancelled,
    RolloutDeleted,
    RolloutEnqueued,
    RolloutFinished,
    RolloutUpdated,
    SpanRecorded,
    Treatment,
    Unknown,
    masked,
)
from agl_core.record import Record
from agl_core.spans.rewards import MADE, is_called

__all__ = ["Trace", "TraceReward", "traces"]

_LOOKED_AT: Mapping[str, type[Event]] = {
    cls.type: cls for cls in (RolloutEnqueued, RolloutUpdated, CallRecorded, SpanRecorded, RewardGiven)
}
"""What a trace is made of, and may have lost."""

_NEVER = sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceReward:
    """A reward that counts, and the id of the event that gave it."""

    id: str | None
    """Null of a zero that nobody gave, and that the run's failure policy counts."""
    given: RewardGiven
    span_id: str | None = None
    """The span that stated it; null of one that was given as a fact of its own."""
    given_at: int | None = None
    """Nanoseconds since the epoch, writer's clock; null out of no log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one attempt left in the log: all that an adapter may look at."""

    rollout_id: str
    attempt_id: str
    task_id: str
    input: Any = None
    mode: str | None = None
    status: str
    """Of the rollout: `succeeded`, `failed`, `cancelled`, ..."""
    exit_status: str | None = None
    treated: Treatment | None = None
    """What its run does with it for how it ended; None where that is as usual."""
    run_id: str | None = None
    group: str | None = None
    """Samples of one task in one group of one run are compared with each other."""
    repeat: int = 0
    calls: tuple[CallRecorded, ...] = ()
    """Of the attempt that counts, in the order they were recorded; order is not causality.

    What came after its lease was lost is in the log, and not here; of spans and rewards too. Calls of judges are here
    whenever they came.
    """
    spans: tuple[SpanRecorded, ...] = ()
    rewards: tuple[TraceReward, ...] = ()
    """Given and not withdrawn."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    positions: Mapping[str, int] = field(default_factory=dict)
    """Where calls, spans and rewards stand in the log, by their ids: the one order they all have. Empty of no log."""

    @property
    def reward(self) -> float | None:
        """What it `earned` by its `primary` reward."""
        return self.earned("primary")

    @property
    def mask(self) -> str | None:
        """Why nothing of it may be learnt, its place in a group's mean included: how it ended; None where it counts."""
        return masked(self.status, self.exit_status, self.treated)

    def earned(self, name: str) -> float | None:
        """The value of its `final` reward of that name; None where nobody gave it one, for that is no zero."""
        final = self.final(name)
        return None if final is None else final.given.value

    def final(self, name: str) -> TraceReward | None:
        """The last reward of that name for the rollout itself.

        The first of several that were given at once is `primary`, and has the name it was given under too.
        """
        of_rollout = (reward for reward in reversed(self.rewards) if reward.given.target.kind == "rollout")
        return next((reward for reward in of_rollout if is_called(reward.given, name)), None)


def traces(stories: Iterable[Iterable[Record]]) -> Iterator[Trace]:
    """One trace for each rollout's stream. Pure: the same records give the same trace.

    Raises `ContentErased` for a rollout of which something was erased.
    """
    for story in stories:
        yield _trace(list(story))


def _trace(records: list[Record]) -> Trace:
    for record in records:
        match record.event:
            # A trace without it would look like another story, and be learnt from.
            case Unknown(name=name, version=schema) if (known := _LOOKED_AT.get(name)) and schema <= known.schema:
                raise ContentErased(record.stream.replace("/", " "))
    enqueued = next(record.event for record in records if isinstance(record.event, RolloutEnqueued))
    attempt_id, status, exit_status = "", "queuing", None
    for record in records:
        match record.event:
            case AttemptStarted() as event if status in {"queuing", "requeuing"}:
                attempt_id, status = event.attempt_id, "running"
            case AttemptFinished(late=False) | AttemptExpired() as event:
                if status == "running" and event.attempt_id == attempt_id:
                    status = "requeuing"
            case RolloutFinished() as event if status != "cancelled":
                attempt_id, status, exit_status = event.attempt_id, event.status, event.exit_status
            case RolloutCancelled() | RolloutDeleted() if status not in {"succeeded", "failed"}:
                status = "cancelled"
            case RolloutUpdated() as event:
                enqueued = _updated(enqueued, event)
    fence = next((record.position for record in records if _fences(record.event, attempt_id)), _NEVER)
    counting = [record for record in records if _counts(record, attempt_id, fence)]
    withdrawn = {record.event.reward for record in records if isinstance(record.event, RewardWithdrawn)}
    return Trace(
        rollout_id=enqueued.rollout_id,
        attempt_id=attempt_id,
        task_id=enqueued.task_id,
        input=enqueued.input,
        mode=enqueued.mode,
        status=status,
        exit_status=exit_status,
        run_id=enqueued.run_id,
        group=enqueued.group,
        repeat=enqueued.repeat,
        calls=tuple(record.event for record in counting if isinstance(record.event, CallRecorded)),
        spans=tuple(record.event for record in counting if isinstance(record.event, SpanRecorded)),
        rewards=tuple(
            TraceReward(
                id=record.id, given=record.event, span_id=_stated_by(record, attempt_id), given_at=record.occurred_at
            )
            for record in counting
            if isinstance(record.event, RewardGiven) and record.id not in withdrawn
        ),
        metadata=enqueued.metadata,
        positions={id_: record.position for record in counting if (id_ := _id(record)) is not None},
    )


def _id(record: Record) -> str | None:
    match record.event:
        case CallRecorded(call_id=id_) | SpanRecorded(span_id=id_):
            return id_
        case RewardGiven():
            return record.id
    return None


def _stated_by(record: Record, attempt_id: str) -> str | None:
    """The span in the reward's key: `reward/<attempt>/<span>/<name>`."""
    before = f"{MADE}{attempt_id}/"
    if record.key is None or not record.key.startswith(before) or not isinstance(record.event, RewardGiven):
        return None
    return record.key[len(before) :].removesuffix(f"/{record.event.name}")


def _fences(event: Event, attempt_id: str) -> bool:
    return isinstance(event, AttemptExpired) and event.attempt_id == attempt_id


def _counts(record: Record, attempt_id: str, fence: int) -> bool:
    """Whether it is of that attempt, before its lease was lost; or of a judge, or of the rollout as such."""
    of = getattr(record.event, "attempt_id", None)
    if isinstance(record.event, CallRecorded) and record.event.role == "judge":
        return of == attempt_id  # judges come when all is over; nobody learns from their calls
    return of is None or (of == attempt_id and record.position < fence)


def _updated(enqueued: RolloutEnqueued, event: RolloutUpdated) -> RolloutEnqueued:
    changes: dict[str, Any] = {}
    for what in event.changed:
        match what:
            case "input":
                changes |= {"input": event.input, "task_id": event.task_id or enqueued.task_id}
            case "mode":
                changes["mode"] = event.mode
            case "metadata":
                changes["metadata"] = event.metadata
    return replace(enqueued, **changes)
