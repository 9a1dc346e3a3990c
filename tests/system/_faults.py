"""What befalls a log from outside: another program holds its file, its disk is full, it is not where it was."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ._conserving import program, told

__all__ = ["full", "held", "moved"]

_HOLDER = """
import sqlite3, sys

db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
db.execute("begin immediate")
print("held", flush=True)
sys.stdin.readline()
db.execute("rollback")
print("released", flush=True)
"""


@contextmanager
def held(path: Path) -> Iterator[Callable[[], None]]:
    """Another process has the lock to write to the file, until the function is called, or the block is left."""
    with program(_HOLDER, path) as (process, first):
        assert first == "held\n"

        def release() -> None:
            assert told(process, "release") == "released\n"

        yield release


@contextmanager
def full(path: Path, pid: int, *, room: int) -> Iterator[None]:
    """No file of the process may grow by more than `room` bytes past what the log's newest commits take by now."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    size = path.with_name(path.name + "-wal").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + room, most))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it may have ended meanwhile
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def moved(path: Path) -> Iterator[None]:
    """The file is not where it was: a volume that went away, a folder that was cleared up."""
    elsewhere = path.with_name("elsewhere.db")
    path.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(path)
