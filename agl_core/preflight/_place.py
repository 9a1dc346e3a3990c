"""Where the log lies, and what listens: the database, the file system, room, ports."""

from __future__ import annotations

import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agl_core.errors import AglError, LogCorrupt, LogUnsupported, PortBusy
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog
from agl_core.preflight._check import Check, Finding, Given, told
from agl_core.record import Draft

__all__ = ["CHECKS"]

_LARGE = 2 << 30
"""Bytes: a larger file is not read through by a doctor."""
_LITTLE, _NOTHING = 1 << 30, 100 << 20


def _database(given: Given) -> Iterator[Finding]:
    """What is in the file; and that one can be written beside it, which proves the file system too."""
    if given.log.exists():
        yield from _there(given)
    else:
        yield Finding(status="ok", what=f"{given.log} is not there yet; the first run makes it")
    folder = _standing(given.log.parent)
    try:
        with (
            tempfile.TemporaryDirectory(dir=folder, prefix=".agl-doctor-") as place,
            SqliteLog(Path(place) / "log.db") as log,
        ):
            log.append([Draft(stream="log", event=NoteTaken(text="a doctor was here"))])
    except AglError as error:
        yield told(error, check="database")
    except OSError as error:
        raise LogUnsupported(
            str(folder), why=f"nothing can be written there: {error.strerror}", cure="Choose another place with --log"
        ) from None
    else:
        yield Finding(status="ok", what=f"a log can be written in {folder}")


def _there(given: Given) -> Iterator[Finding]:
    size = given.log.stat().st_size
    with given.plugins.open_log(str(given.log), readonly=True) as log:
        if size < _LARGE and given.log.suffix not in {".jsonl", ".duckdb"}:
            with log.reading() as db:
                wrong = [row for (row,) in db.execute("pragma quick_check(1)") if row != "ok"]
            if wrong:
                raise LogCorrupt(str(given.log), why=wrong[0])
        yield Finding(status="ok", what=f"{given.log} opens, and its pages are whole: {log.head()} events")
    mode = stat.S_IMODE(given.log.stat().st_mode)
    if mode & 0o077:
        yield Finding(
            status="warn", code="LOG_EXPOSED", what=f"others may read {given.log} (mode {mode:o}): prompts are in it",
            cure=f"chmod 600 {given.log}",
        )  # fmt: skip


def _room(given: Given) -> Iterator[Finding]:
    folder = _standing(given.log.parent)
    free = shutil.disk_usage(folder).free
    what = f"{free / 1e9:.1f} GB free where the log lies ({folder})"
    if free >= _LITTLE:
        yield Finding(status="ok", what=what)
        return
    yield Finding(
        status="fail" if free < _NOTHING else "warn", code="DISK_SPACE_LOW", what=what,
        cure="make room, `agl log compact` what deleted rollouts needed, or put the log elsewhere with --log",
    )  # fmt: skip


def _ports(given: Given) -> Iterator[Finding]:
    with socket.socket() as door:
        try:
            door.bind(("127.0.0.1", given.port))
        except OSError:
            raise PortBusy("127.0.0.1", given.port) from None
    what = f"port {given.port}" if given.port else "any port"
    yield Finding(status="ok", what=f"{what} of 127.0.0.1 can be listened on")


def _standing(folder: Path) -> Path:
    """The nearest folder that is there."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


CHECKS = (
    Check(name="database", look=_database),
    Check(name="disk", look=_room),
    Check(name="ports", look=_ports),
)
