"""An export opened as a log: it reads as every log does, and nothing can be written to it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from agl_core.codec import Codec
from agl_core.errors import LogCorrupt, LogReadOnly
from agl_core.log._assemble import assemble
from agl_core.log._exported import facts, seals
from agl_core.log._protocol import Projection
from agl_core.log._sqlite import SqliteLog
from agl_core.log._write import Writer
from agl_core.record import Record

__all__ = ["Archive", "unpack"]

CURE = "Make a log of it with `agl log import`, and write to that"


class Archive(SqliteLog):
    """A `.parquet`, `.duckdb` or `.jsonl` export.

    An event is made of blobs that stand anywhere before it, so the facts are copied, without decoding one, into an
    SQLite file in a private temporary folder, gone on `close`. The tables are folded when somebody asks for a row.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        projections: Sequence[Projection] = (),
        codec: Codec | None = None,
        progress: Callable[[int], None] = lambda _position: None,
    ) -> None:
        self.source = Path(source).absolute()
        folder = Path(tempfile.mkdtemp(prefix="agl-archive-"))
        try:
            self._head = unpack(self.source, folder / "log.db", codec=codec, progress=progress)
            super().__init__(folder / "log.db", projections=projections, codec=codec, readonly=True)
            self._facts = SqliteLog(self.path, codec=self.codec, readonly=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._temporary = folder
        self.url = str(self.source)
        self._folding = threading.Lock()
        self._folded = not self.projections

    def _writing(self) -> Writer:
        raise LogReadOnly(str(self.source), why="it is an export", cure=CURE)

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
        return self._facts.read(after=after, until=until, stream=stream, types=types, limit=limit)

    def get(self, key: str) -> Record | None:
        """The record that carries an idempotency key."""
        return self._facts.get(key)

    def records(self, positions: Sequence[int]) -> dict[int, Record]:
        """The records at those positions."""
        return self._facts.records(positions)

    def head(self) -> int:
        """Position of the last record."""
        return self._head

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that only reads; the tables are there."""
        with self._folding:
            if not self._folded:
                SqliteLog(self.path, projections=self.projections, codec=self.codec).close()
                self._folded = True
        with super().reading() as db:
            yield db

    def close(self) -> None:
        """Let go of the export, and drop the copy."""
        self._facts.close()
        super().close()


def unpack(
    source: Path,
    path: Path,
    *,
    projections: Sequence[Projection] = (),
    codec: Codec | None = None,
    progress: Callable[[int], None] = lambda _position: None,
) -> int:
    """Write a log of an export's facts, with its seals and a key of its own; its last position."""
    try:
        return assemble(
            path, facts(source), projections=projections, codec=codec, seals=seals(source), progress=progress
        )
    except sqlite3.IntegrityError as error:
        raise LogCorrupt(str(source), why=str(error)) from None
