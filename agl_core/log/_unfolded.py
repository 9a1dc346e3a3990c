"""A log that reads at once: its tables are folded when somebody asks for a row of them."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from agl_core.codec import Codec
from agl_core.log._protocol import Projection
from agl_core.log._sqlite import SqliteLog
from agl_core.record import Record

__all__ = ["Unfolded"]


class Unfolded(SqliteLog):
    """What is read of the facts comes from `facts`; what is asked of the tables waits until `fold` has made them."""

    def __init__(self, path: Path, *, facts: SqliteLog, projections: Sequence[Projection], codec: Codec | None) -> None:
        self.facts = facts
        self._folding = threading.Lock()
        self._folded = not projections
        super().__init__(path, projections=projections, codec=codec, readonly=True)

    def fold(self) -> None:
        """Make the tables; called once, by whoever comes first."""
        raise NotImplementedError

    def read(
        self,
        *,
        after: int = 0,
        until: int | None = None,
        stream: str | None = None,
        types: Collection[str] = (),
        limit: int | None = None,
    ) -> Iterator[Record]:
        """Records in order."""
        return self.facts.read(after=after, until=until, stream=stream, types=types, limit=limit)

    def get(self, key: str) -> Record | None:
        """The record that carries an idempotency key."""
        return self.facts.get(key)

    def records(self, positions: Sequence[int]) -> dict[int, Record]:
        """The records at those positions."""
        return self.facts.records(positions)

    def head(self) -> int:
        """Position of the last record."""
        return self.facts.head()

    def secret(self) -> bytes:
        """The log's own key."""
        return self.facts.secret()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that only reads; the tables are there."""
        with self._folding:
            if not self._folded:
                self.fold()
                self._folded = True
        with super().reading() as db:
            yield db

    def close(self) -> None:
        """Let go of the file, and of the tables."""
        self.facts.close()
        super().close()
