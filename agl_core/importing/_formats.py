"""The formats, and the way from a source into a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from agl_core.errors import BadValue, ImportRefused, ImportWrongFormat
from agl_core.importing import _atif, _jsonl, _otlp, _v03
from agl_core.importing._guess import looks
from agl_core.importing._story import Reading
from agl_core.importing._writing import Imported, run_of, write
from agl_core.log import SqliteLog

__all__ = ["FORMATS", "check", "import_rows"]


class _Read(Protocol):
    def __call__(self, source: str, *, run_id: str) -> Reading: ...


def _file(read: Callable[..., Reading]) -> _Read:
    return lambda source, *, run_id: read(Path(source), run_id=run_id)


FORMATS: Mapping[str, _Read] = {
    "atif": _file(_atif.read),
    "jsonl": _file(_jsonl.read),
    "otlp": _file(_otlp.read),
    "agl-v0.3": _v03.read,
}
"""Name to what reads it."""


def import_rows(
    log: SqliteLog,
    format: str,
    source: str | Path,
    *,
    name: str | None = None,
    progress: Callable[[int, int | None], None] = lambda _done, _of: None,
) -> Imported:
    """Take a source in: each thing in it is whole in `log` afterwards, or among the reasons.

    The rollouts are in a run of their own, which `name` names, or else the source: the same source of the same name is
    the same run, and what is in it already is not written again. Raises `ImportWrongFormat` where the source looks to
    be in another format, and `ImportRefused` where it cannot be read.
    """
    source = check(format, source)
    called = name or (urlsplit(source).netloc if _is_url(source) else Path(source).resolve().name)
    reading = FORMATS[format](source, run_id=run_of(format, called))
    return write(log, reading, format=format, name=called, progress=progress)


def check(format: str, source: str | Path) -> str:
    """The source, as it is read; raises as `import_rows` does, before there is a log."""
    if format not in FORMATS:
        raise BadValue("format", format, why=f"known are {', '.join(FORMATS)}")
    source = str(source)
    if not _is_url(source):
        source = str(Path(source).expanduser())
        if not Path(source).exists():
            is_server = format == _v03.FORMAT
            why = "it is no address" if is_server else "nothing is there"
            cure = "Write it whole, as http://localhost:4747" if is_server else "Check the path"
            raise ImportRefused(source, why=why, cure=cure)
    seems = looks(source)
    if seems and all(one.format != format for one in seems):
        raise ImportWrongFormat(source, format=format, looks_like=seems[0].words, cure=seems[0].cure)
    return source


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))
