"""Logs to files and back: every fact, every blob and every seal, byte for byte."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agl_core.errors import LogExists, LogUnsupported
from agl_core.export._arrow import arriving
from agl_core.export._copying import opened
from agl_core.export._lines import write_lines
from agl_core.export._tables import write_tables
from agl_core.log import Format, Moving, SqliteLog, assemble, digest, pages, stored, unpack
from agl_core.projections import CORE

__all__ = ["Moved", "export_log", "import_log"]

_GROUP = 64 << 20
"""Bytes a group of Parquet, about: what its writer and its reader hold at once, blobs and all."""
_LEAST, _MOST = 2_048, 20_480


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was written."""

    path: Path
    format: Format
    head: int
    """Position of the last event."""
    seal: str
    """The hash of all of them: the same on both sides, or something is not as it was."""


def export_log(
    log: SqliteLog | Path | str,
    path: Path | str,
    *,
    format: Format | None = None,
    progress: Moving = lambda _done, _all: None,
) -> Moved:
    """Write a log down as it stands now, also while others write to it; the suffix of `path` says how.

    The file has its name when all of it is there. The log's own key stays behind: it makes the tokens of attempts.
    Raises `LogExists` rather than write over something.
    """
    if not isinstance(log, SqliteLog):
        with opened(Path(log)) as found:
            return export_log(found, path, format=format, progress=progress)
    path = Path(path).absolute()
    kind = format or Format.named(path)
    with _writable(path):
        head = _write(log, path, kind, progress)
    return Moved(path=path, format=kind, head=head, seal=digest(log, at=head))


def import_log(source: Path | str, path: Path | str, *, progress: Moving = lambda _done, _all: None) -> Moved:
    """Make a log of an export, of whatever format: it can be written to, and has a key of its own.

    Raises `LogExists` rather than write over something, and `LogCorrupt` for what is no export.
    """
    source, path = Path(source).absolute(), Path(path).absolute()
    if Format.of(path) is None and Format.meant(path) != Format.SQLITE:
        why, cure = "only SQLite is written to by runs", "Give the log a name such as run.db"
        raise LogUnsupported(str(path), why=why, cure=cure)
    if Format.meant(source) == Format.SQLITE:
        return export_log(source, path, format=Format.SQLITE, progress=progress)
    with _writable(path):
        unpack(source, path, projections=CORE, progress=partial(_told, progress, None))
    with SqliteLog(path, readonly=True) as log:
        return Moved(path=path, format=Format.SQLITE, head=log.head(), seal=digest(log))


def _write(log: SqliteLog, path: Path, kind: Format, progress: Moving) -> int:
    head = log.head()
    if kind == Format.SQLITE:
        seals = (seal for page in pages(log, until=head) for seal in page.seals.items())
        told = partial(_told, progress, head)
        return assemble(path, stored(log, until=head), projections=CORE, codec=log.codec, seals=seals, progress=told)
    with _new(path) as part:
        match kind:
            case Format.JSONL:
                write_lines(part, pages(log, until=head, progress=progress))
            case Format.PARQUET:
                _write_parquet(part, log, head, progress)
            case _:
                head = write_tables(part, log, progress)
    return head


def _told(progress: Moving, head: int | None, done: int) -> None:
    progress(done, head)


def _write_parquet(path: Path, log: SqliteLog, head: int, progress: Moving) -> None:
    import duckdb

    name = str(path).replace("'", "''")
    each = log.path.stat().st_size // max(head, 1)
    rows = max(_LEAST, min(_MOST, _GROUP // max(each, 1)))
    with (
        contextlib.closing(duckdb.connect(":memory:")) as db,
        arriving(db, pages(log, until=head, progress=progress)),
    ):
        db.execute("set enable_progress_bar = false")  # at a prompt it would be printed among the data
        db.execute(f"copy (from arriving) to '{name}' (format parquet, compression zstd, row_group_size {rows})")


@contextlib.contextmanager
def _new(path: Path) -> Iterator[Path]:
    """A place to write to, beside `path`; what is there in the end gets its name."""
    if path.exists():
        raise LogExists(str(path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".agl-export-", dir=path.parent) as folder:
        part = Path(folder, "part")  # DuckDB takes a question mark in a name for more than a letter
        yield part
        part.chmod(0o600)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        _name(part, path)


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    """What the disk says of a place, as an error of ours."""
    import duckdb

    try:
        yield
    except (OSError, duckdb.IOException) as error:
        why, cure = getattr(error, "strerror", None) or str(error), "Choose a place that you may write to, with room"
        raise LogUnsupported(str(path), why=why, cure=cure) from None


def _name(part: Path, path: Path) -> None:
    try:
        os.link(part, path)  # unlike a rename, it never replaces what has come there meanwhile
    except FileExistsError:
        raise LogExists(str(path)) from None
    except OSError:  # a file system without links
        part.rename(path)
