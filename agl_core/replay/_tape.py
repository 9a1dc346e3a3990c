"""The tape of an attempt: the model calls that its agent made, as a log remembers them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from agl_core.errors import NotReplayable, UnknownId
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    CallRecorded,
    CaptureLost,
    RolloutFinished,
    Unknown,
)
from agl_core.log import EventLog
from agl_core.record import Record

__all__ = ["Tape", "Taped", "alone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taped:
    """A recorded call, and where it stands."""

    position: int
    call: CallRecorded
    tried: int = 0
    """How often the client had asked for the same before, in vain."""

    @property
    def call_id(self) -> str:
        """Its id, in the log that has it."""
        return self.call.call_id

    @property
    def ended_at(self) -> int:
        """Nanoseconds since the epoch, by the clock of who wrote it down."""
        return self.call.started_at + round(self.call.latency * 1e9)

    @property
    def branch(self) -> str | None:
        """The branch of the agent's program that asked; None where that was a matter of chance."""
        return None if self.call.place is None else self.call.place.rpartition(":")[0]

    @property
    def ordinal(self) -> int:
        """Which call of its branch it was, from 0."""
        _, _, number = (self.call.place or "").rpartition(":")
        return int(number) if number.isdecimal() else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """What one attempt asked and heard, in the order it was written down; that order is not the order of causes."""

    rollout_id: str
    attempt_id: str
    calls: tuple[Taped, ...] = ()
    """Those of the agent itself, also those that failed, and those it made when its lease was lost. What judges asked
    when it was over is not among them; a judge that the agent asked is."""
    is_over: bool = True
    """Whether the attempt had ended; else more may come."""
    lost: int = 0
    """Facts of the rollout that could not be kept: a call may be missing."""
    alone: frozenset[str] = frozenset()
    """Calls beside which no other was under way: they came one after the other, as far as clocks can tell."""

    @classmethod
    def of(cls, log: EventLog, rollout_id: str, attempt_id: str | None = None, *, until: int | None = None) -> Tape:
        """Read it, as the log is or as it was at position `until`.

        Without `attempt_id` it is the attempt that settled the rollout, or else the last one. Raises `UnknownId`, and
        `NotReplayable` where nobody has tried the rollout, or calls of the attempt were erased or cannot be read.
        """
        story = list(log.read(stream=f"rollout/{rollout_id}", until=until))
        if not story:
            raise UnknownId("rollout", rollout_id)
        attempt_id = attempt_id or _counted(story, rollout_id)
        own = [record for record in story if _of(record) == attempt_id]
        if not own:
            raise UnknownId("attempt", attempt_id)
        over = [one.position for one in own if isinstance(one.event, AttemptFinished | AttemptExpired)]
        calls = tuple(_calls(own, rollout_id, over[0] if over else None))
        return cls(
            rollout_id=rollout_id,
            attempt_id=attempt_id,
            calls=calls,
            is_over=bool(over),
            lost=sum(record.event.count for record in story if isinstance(record.event, CaptureLost)),
            alone=frozenset(alone(calls)),
        )

    def first(self, count: int) -> Tape:
        """The tape as far as its first `count` calls, in the order they were written down."""
        return replace(self, calls=self.calls[:count])

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Taped]:
        return iter(self.calls)


def _counted(story: Iterable[Record], rollout_id: str) -> str:
    """The attempt that settled it; of a rollout that is not settled, the last one."""
    found: str | None = None
    is_settled = False
    for record in story:
        match record.event:
            case RolloutFinished(attempt_id=str(attempt_id)) if attempt_id:
                found, is_settled = attempt_id, True
            case AttemptStarted(attempt_id=attempt_id) if not is_settled:
                found = attempt_id
    if found is None:
        why = "nobody had tried it by then: there is nothing to replay"
        raise NotReplayable(f"rollout {rollout_id}", why=why, cure="`agl rollouts show` says how it stands")
    return found


def _of(record: Record) -> str | None:
    """The attempt that a fact is of."""
    if isinstance(record.event, Unknown):
        of = record.event.data.get("attempt_id")
        return of if isinstance(of, str) else None
    found: str | None = getattr(record.event, "attempt_id", None)
    return found


def _calls(own: Iterable[Record], rollout_id: str, over: int | None) -> Iterator[Taped]:
    tried: dict[str, int] = {}
    for record in own:
        match record.event:
            case Unknown(name=CallRecorded.type, version=schema):
                _unreadable(record, rollout_id, is_newer=schema > CallRecorded.schema)
            case CallRecorded() as call if call.role != "judge" or over is None or record.position < over:
                tried[call.call_id] = 0 if call.retry_of is None else tried.get(call.retry_of, 0) + 1
                yield Taped(position=record.position, call=call, tried=tried[call.call_id])


def _unreadable(record: Record, rollout_id: str, *, is_newer: bool) -> NoReturn:
    why = f"what was said in a call of it (position {record.position}) was erased"
    cure = "What came before it can be gone through with `--at`; an attempt without it can be named"
    if is_newer:
        why = f"a call of it (position {record.position}) was written by a newer version"
        cure = "Install that, or a later one"
    raise NotReplayable(f"rollout {rollout_id}", why=why, cure=cure)


def alone(calls: Iterable[Taped]) -> Iterator[str]:
    """The ids of those that began when all before had ended, and ended before the next one began."""
    latest, before, before_is_apart = -1, None, True
    for one in sorted(calls, key=lambda taped: (taped.call.started_at, taped.position)):
        began = one.call.started_at
        # Equal times are no evidence: some of what was imported has none.
        is_apart = before is None or (latest <= began and before.call.started_at < began)
        if before is not None and is_apart and before_is_apart:
            yield before.call_id
        before, before_is_apart, latest = one, is_apart, max(latest, one.ended_at)
    if before is not None and before_is_apart:
        yield before.call_id
