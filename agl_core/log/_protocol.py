"""What every log promises, and what it is handed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, runtime_checkable

from agl_core.events import Event
from agl_core.log._in_flight import InFlight
from agl_core.record import Draft, Record

__all__ = ["NOTHING", "Decide", "EventLog", "Expected", "Projection", "View", "Work"]

Expected = Mapping[str, int]
"""Stream to the version it must be at; 0 for a stream that must not exist yet."""
NOTHING: Expected = MappingProxyType({})
"""Any version will do."""


class View(Protocol):
    """What a decision sees, inside the write transaction: the projections as they stand, and what is under way."""

    in_flight: InFlight

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows of a query over projections and `in_flight`; parameters always by place."""
        ...

    def version(self, stream: str) -> int:
        """Version the stream is at; 0 when it does not exist."""
        ...


Decide = Callable[[View], Sequence[Draft]]
"""Looks, and says what happened. May run again when the file was busy, or when another of its group has
failed; it must not act on the outside."""

Work = Sequence[Draft] | Decide


class Projection(Protocol):
    """Tables that fold from the log, in the transaction of the event: pure, and rebuilt whenever in doubt."""

    name: ClassVar[str]
    version: ClassVar[int]
    """Another number means other tables, or another meaning: rebuild."""
    hears: ClassVar[tuple[type[Event], ...]]
    """Events that change its tables; it is handed no others."""
    tables: ClassVar[Mapping[str, str]]
    """Table name to its `create` statement, indexes after it, separated by `;`."""

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in. Nothing but `record` and the own tables may be looked at."""
        ...


@runtime_checkable
class EventLog(Protocol):
    """Facts, in order, for ever."""

    url: str

    def append(self, drafts: Sequence[Draft], *, expected: Expected = NOTHING) -> Sequence[Record]:
        """All of `drafts` or none; they are durable when this returns.

        Raises `VersionConflict` when a stream is not at its expected version, `KeyReused` when a key is
        known with other content. A known key with the same content gives the first record back.
        """
        ...

    def submit(self, work: Work, *, expected: Expected = NOTHING) -> Future[Sequence[Record]]:
        """`append` or `transact` without waiting: the future resolves after commit."""
        ...

    def transact(self, decide: Decide) -> Sequence[Record]:
        """Let `decide` look and write in one transaction."""
        ...

    def read(
        self,
        *,
        after: int = 0,
        until: int | None = None,
        stream: str | None = None,
        types: Collection[str] = (),
        limit: int | None = None,
    ) -> Iterator[Record]:
        """Records in order, `after` exclusive, `until` inclusive; in constant memory."""
        ...

    def head(self) -> int:
        """Position of the last record; 0 when there is none."""
        ...

    def close(self) -> None:
        """Finish what was submitted, and let go of the file."""
        ...
