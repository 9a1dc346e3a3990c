"""An export opened as a log: it reads as every log does, and nothing can be written to it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from agl_core.codec import Codec
from agl_core.errors import LogCorrupt, LogReadOnly
from agl_core.log._assemble import assemble
from agl_core.log._exported import facts, seals
from agl_core.log._protocol import Projection
from agl_core.log._sqlite import SqliteLog
from agl_core.log._unfolded import Unfolded
from agl_core.log._write import Writer

__all__ = ["Archive", "unpack"]

CURE = "Make a log of it with `agl log import`, and write to that"


class Archive(Unfolded):
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
        path = folder / "log.db"
        try:
            unpack(self.source, path, codec=codec, progress=progress)
            copied = SqliteLog(path, codec=codec, readonly=True)
            super().__init__(path, facts=copied, projections=projections, codec=copied.codec)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._temporary = folder
        self.url = str(self.source)

    @property
    def artefacts(self) -> Path:
        """The folder beside the export, not beside the copy; what a log has there does not come with an export."""
        return self.source.with_name(f"{self.source.name}.d")

    def fold(self) -> None:
        """Into the copy."""
        SqliteLog(self.path, projections=self.projections, codec=self.codec).close()

    def _writing(self) -> Writer:
        raise LogReadOnly(str(self.source), why="it is an export", cure=CURE)


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
