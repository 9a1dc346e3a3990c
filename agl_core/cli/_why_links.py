"""What led to a fact: the event it names as its cause, or else what its own words lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agl_core.cli import _why_found as found
from agl_core.cli._why_wrote import ROUTINE, answer_of, derived_from, made_by, scope_of, wrote
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    BatchFormed,
    CallRecorded,
    CheckpointSaved,
    OutcomesRead,
    PolicyPromoted,
    PolicyUpdated,
    ResourcesPromoted,
    ResourcesPublished,
    RewardGiven,
    RolloutCancelled,
    RolloutDeleted,
    RolloutEnqueued,
    RolloutFinished,
    RunFailed,
    RunFinished,
    StepRecorded,
)

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.record import Record

__all__ = ["Cause", "causes"]

_ENDED = RolloutFinished.type
_NEAR = 200
"""Events of a run within which what was asked is written down as a step."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A fact, and which one it led to."""

    record: Record
    explains: int | None = None
    about: tuple[str, int] | None = None
    """The version that was to be improved on, where that is known."""


def causes(log: SqliteLog, of: Cause) -> Iterator[Cause]:
    """What led to it, in no order; of what was erased or has no cause, nothing."""
    record = of.record
    if record.causation_id is not None:
        about, led = None, [found.fact(log, "select position from events where id = ?", record.causation_id)]
    else:
        about = derived_from(record) or of.about
        led = list(_led(log, record, about))
    for one in led:
        if one is not None and one.position != record.position:
            yield Cause(one, record.position, about)


def _led(log: SqliteLog, record: Record, about: tuple[str, int] | None) -> Iterator[Record | None]:
    event = record.event
    match event:
        case ResourcesPromoted():
            yield found.evidence(log, record, (event.resources_id, event.version), event.run_id)
            yield found.version(log, (event.resources_id, event.version))
        case ResourcesPublished():
            yield wrote(log, record, event)
            yield found.version(log, derived_from(record))
            yield found.run(log, event.run_id)
        case StepRecorded():
            yield from _before_step(log, record, event, about)
        case OutcomesRead():
            group = found.group(log, record)
            yield found.at(log, group[2]) if group else None
            yield found.run(log, event.run_id)
        case BatchFormed() | PolicyUpdated() | PolicyPromoted() | CheckpointSaved():
            yield from _learnt(log, record)
        case RunFinished() | RunFailed():
            yield from _ended(log, record, event.run_id)
        case _:
            yield from _worked(log, record)


def _worked(log: SqliteLog, record: Record) -> Iterator[Record | None]:
    """What stands with a rollout, and what an algorithm asked itself."""
    event = record.event
    match event:
        case RolloutFinished(attempt_id=attempt_id):
            yield found.of_attempt(log, record, "attempt.finished", attempt_id) or found.of_attempt(
                log, record, "attempt.expired", attempt_id
            )
        case RolloutCancelled() | RolloutDeleted():
            yield found.enqueued(log, event.rollout_id)
        case AttemptFinished() | AttemptExpired():
            yield found.of_attempt(log, record, "attempt.started", event.attempt_id)
        case AttemptStarted():
            yield found.enqueued(log, event.rollout_id)
        case RolloutEnqueued():
            yield found.enqueued(log, event.parent) if event.parent else None
            yield found.spoke(log, event)
            if event.resources_id and event.resources_version:
                yield found.version(log, (event.resources_id, event.resources_version))
            yield found.run(log, event.run_id)
        case RewardGiven():
            for call_id in (event.target.id if event.target.kind == "call" else None, *_asked(event)):
                yield log.get(f"call/{call_id}") if call_id else None
            of = event.attempt_id
            ended = found.of_attempt(log, record, "attempt.finished", of) if of else found.before(log, record, _ENDED)
            began = ended or found.of_attempt(log, record, "attempt.started", of)
            yield began or found.enqueued(log, event.rollout_id)
        case CallRecorded():
            yield from _called(log, record, event)
        case _:
            yield found.run(log, getattr(event, "run_id", None))


def _called(log: SqliteLog, record: Record, event: CallRecorded) -> Iterator[Record | None]:
    for call_id in (event.retry_of, event.parent_call_id):
        yield found.fact(log, "select position from calls where call_id = ?", call_id) if call_id else None
    if event.rollout_id:
        yield found.weights(log, event)
        yield found.of_attempt(log, record, "attempt.started", event.attempt_id) or found.enqueued(
            log, event.rollout_id
        )
        return
    run_id = record.stream.removeprefix("run/")
    for asked in log.read(after=record.position, stream=record.stream, types=[StepRecorded.type], limit=_NEAR):
        if isinstance(asked.event, StepRecorded) and answer_of(asked).get("call_id") == event.call_id:
            earlier = next(_before_step(log, asked, asked.event, None), None)
            yield earlier if earlier and earlier.position < record.position else None
            break
    yield found.run(log, run_id)


def _learnt(log: SqliteLog, record: Record) -> Iterator[Record | None]:
    """Weights come of a step, the step of a batch, and the batch of rollouts."""
    event = record.event
    match event:
        case BatchFormed():
            for group, first in found.groups(log, event.rollouts):
                yield (log.get(group) if group else None) or found.at(log, first)
            yield found.run(log, event.run_id)
        case PolicyPromoted():
            sql = "select position from policies where run_id = ? and policy = ? and version = ?"
            yield found.fact(log, sql, event.run_id, event.policy, event.version)
        case PolicyUpdated(checkpoint=digest) | CheckpointSaved(digest=digest):
            yield made_by(log, record, digest)
            yield found.run(log, event.run_id)


def _before_step(
    log: SqliteLog, record: Record, event: StepRecorded, about: tuple[str, int] | None
) -> Iterator[Record | None]:
    """The step before it in its scope that did something; where there is none, what the run had read by then."""
    scope, kind = scope_of(record)
    if kind == "update" and (batch := found.before(log, record, "batch.formed")) is not None:
        yield batch
        return
    earlier = None
    sql = (
        "select position from events where stream = ? and type = 'step.recorded' and position < ? "
        "and key between ? and ? order by position desc"
    )
    for (position,) in log.rows(sql, (record.stream, record.position, f"{scope}/", f"{scope}/~")) if scope else ():
        one = log.records([position])[position]
        if scope_of(one)[1] not in ROUTINE:
            earlier = one
            break
    if earlier is not None:
        yield earlier
    elif about is not None:
        yield found.evidence(log, record, about, event.run_id) or found.before(log, record, "outcomes.read")
    else:
        yield found.before(log, record, "outcomes.read")
    yield found.run(log, event.run_id)


def _ended(log: SqliteLog, record: Record, run_id: str) -> Iterator[Record | None]:
    """A run that was asked to stop, or that came to something."""
    yield found.before(log, record, "run.stop_asked")
    sql = (
        "select position from events where type = 'resources.promoted' and correlation_id = ? and position < ? "
        "order by position desc limit 1"
    )
    yield (
        found.fact(log, sql, run_id, record.position)
        or found.before(log, record, "policy.updated")
        or found.before(log, record, "outcomes.read")
    )
    yield found.run(log, run_id)


def _asked(event: RewardGiven) -> list[str]:
    """Calls in which a judge asked a model."""
    calls = event.evidence.get("calls", ())
    return [one for one in calls if isinstance(one, str)] if isinstance(calls, list | tuple) else []
