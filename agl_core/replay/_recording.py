"""What a log remembers of one attempt: all that its agent is given again, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agl_core.errors import ContentErased, LogCorrupt, NotReplayable, UnknownId
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    PluginLoaded,
    ResourcesPublished,
    RewardGiven,
    RolloutEnqueued,
    RolloutUpdated,
    RunStarted,
    SpanRecorded,
    Unknown,
)
from agl_core.log import SqliteLog
from agl_core.record import Record
from agl_core.replay._tape import Tape
from agl_core.replay._tool_tape import ToolTape

__all__ = ["Recording", "rollouts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Of one attempt, as its log was when that had so many events."""

    source: str
    """The log's URL."""
    head: int
    enqueued: RolloutEnqueued
    """With what was changed of it until the attempt began."""
    started: AttemptStarted
    started_at: int
    """Nanoseconds since the epoch, by the log's clock."""
    ended: AttemptFinished | AttemptExpired | None
    """None of one that was under way."""
    run: RunStarted | None
    resources: ResourcesPublished | None
    tape: Tape
    tools: ToolTape
    rewards: tuple[RewardGiven, ...] = ()
    """Those that the agent gave itself; a judge's are not its doing."""
    plugins: Mapping[str, str | None] = field(default_factory=dict)
    """By name, the version that each plugin had."""

    @property
    def rollout_id(self) -> str:
        """Of the rollout."""
        return self.enqueued.rollout_id

    @property
    def attempt_id(self) -> str:
        """Of the attempt."""
        return self.started.attempt_id

    def models(self) -> set[str]:
        """The names of those that could be asked, as far as the log tells."""
        given = self.resources.resources.values() if self.resources else ()
        served = self.run.models if self.run else ()
        return {
            *served,
            *(one["model"] for one in given if "model" in one),
            *(one.call.call.model for one in self.tape),
        }

    @classmethod
    def of(cls, log: SqliteLog, rollout_id: str, attempt_id: str | None = None, *, at: int | None = None) -> Recording:
        """Read it; of the attempt that settled the rollout, or the last one, unless another is named.

        Raises `UnknownId`, and `NotReplayable` where the log does not hold what is needed.
        """
        head = log.head() if at is None else min(at, log.head())
        try:
            return cls._read(log, rollout_id, attempt_id, head)
        except (ContentErased, LogCorrupt) as error:
            cure = "Take a copy of the log that has it; `agl log verify` tells what is missing"
            raise NotReplayable(f"rollout {rollout_id}", why=str(error), cure=cure) from error

    @classmethod
    def _read(cls, log: SqliteLog, rollout_id: str, attempt_id: str | None, head: int) -> Recording:
        tape = Tape.of(log, rollout_id, attempt_id, until=head)
        story = list(log.read(stream=f"rollout/{rollout_id}", until=head))
        begin, started = _begin(story, tape.attempt_id)
        own = [one.event for one in story if getattr(one.event, "attempt_id", None) == tape.attempt_id]
        enqueued = _asked((one.event for one in story if one.position < begin.position), rollout_id)
        begun = log.get(enqueued.run_id) if enqueued.run_id else None
        ended = next((event for event in own if isinstance(event, AttemptFinished | AttemptExpired)), None)
        return cls(
            source=log.url,
            head=head,
            enqueued=enqueued,
            started=started,
            started_at=begin.recorded_at,
            ended=ended,
            run=begun.event if begun and isinstance(begun.event, RunStarted) else None,
            resources=_resources(log, enqueued, head),
            tape=tape,
            tools=ToolTape.among(event for event in own if isinstance(event, SpanRecorded)),
            plugins=_plugins(log, enqueued.run_id, head),
            rewards=tuple(event for event in own if isinstance(event, RewardGiven) and event.judge == "agent"),
        )


def rollouts_of(log: SqliteLog, run_id: str, *, at: int | None = None) -> list[str]:
    """The rollouts of a run that came to an end, in the order they were enqueued; deleted ones are not among them."""
    head = log.head() if at is None else at
    sql = (
        "select rollout_id from rollouts where run_id = ? and hidden = 0 and position <= ? and attempts > 0 "
        "order by position"
    )
    return [rollout_id for (rollout_id,) in log.rows(sql, (run_id, head))]


def _begin(story: Iterable[Record], attempt_id: str) -> tuple[Record, AttemptStarted]:
    """Where the attempt begins."""
    for record in story:
        match record.event:
            case AttemptStarted() as event if event.attempt_id == attempt_id:
                return record, event
    raise UnknownId("attempt", attempt_id)


def _asked(story: Iterable[object], rollout_id: str) -> RolloutEnqueued:
    """What was asked for, as it stood at the end of this part of the story."""
    asked: RolloutEnqueued | None = None
    for event in story:
        match event:
            case RolloutEnqueued():
                asked = event
            case RolloutUpdated() if asked is not None:
                asked = _changed(asked, event)
            case Unknown(name=RolloutEnqueued.type):
                why = "its task was erased, or written by a newer version"
                raise NotReplayable(f"rollout {rollout_id}", why=why, cure="Take a copy of the log that has it")
    assert asked is not None
    return asked


def _changed(asked: RolloutEnqueued, by: RolloutUpdated) -> RolloutEnqueued:
    fields: dict[str, Any] = {name: getattr(by, name) for name in by.changed if name != "resources"}
    if "resources" in by.changed:
        fields |= {"resources_id": by.resources_id, "resources_version": by.resources_version}
    if "input" in by.changed:
        fields["task_id"] = by.task_id or asked.task_id
    return replace(asked, **fields)


def _resources(log: SqliteLog, asked: RolloutEnqueued, head: int) -> ResourcesPublished | None:
    if asked.resources_id is None:
        return None
    for record in log.read(stream=f"resources/{asked.resources_id}", until=head):
        event = _published(record)
        if event is not None and event.version == asked.resources_version:
            return event
    raise UnknownId("resource", f"{asked.resources_id}@{asked.resources_version}")


def _plugins(log: SqliteLog, run_id: str | None, head: int) -> dict[str, str | None]:
    """Those of the run, as it was begun or resumed last."""
    return {
        record.event.name: record.event.version
        for record in log.read(stream="log", types=[PluginLoaded.type], until=head)
        if isinstance(record.event, PluginLoaded) and record.correlation_id == run_id
    }


def _published(record: Record) -> ResourcesPublished | None:
    return record.event if isinstance(record.event, ResourcesPublished) else None
