"""The walk from a fact to what led to it: the latest first, each once, and the start of the run at the end."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agl_core.cli._why_links import Cause, causes
from agl_core.cli._why_told import told
from agl_core.events import RunStarted, Unknown

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.record import Record

__all__ = ["Step", "chain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A fact, in words."""

    position: int
    type: str
    event_id: str
    stream: str
    actor: str
    what: str
    explains: int | None
    """Position of the fact that it led to; null of the one that is asked about."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def chain(log: SqliteLog, start: Record) -> Iterator[Step]:
    """From `start` back to what nothing led to. Each fact is told once, so that no circle is walked twice."""
    seen: set[int] = set()
    ahead: list[tuple[int, int, Cause]] = [(0, 0, Cause(start))]
    number = 0
    while ahead:
        *_, one = heapq.heappop(ahead)
        record = one.record
        if record.position in seen:
            continue
        seen.add(record.position)
        yield Step(
            position=record.position, type=_type(record), event_id=record.id, stream=record.stream, actor=record.actor,
            what=told(log, record), explains=one.explains,
        )  # fmt: skip
        for cause in causes(log, one):
            number += 1
            # Where a run began is told last, though what it was given may have been published before.
            order = 1 if isinstance(cause.record.event, RunStarted) else -cause.record.position
            heapq.heappush(ahead, (order, number, cause))


def _type(record: Record) -> str:
    event = record.event
    return event.name if isinstance(event, Unknown) else event.type
