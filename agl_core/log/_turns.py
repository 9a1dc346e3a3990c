"""Whose turn it is to write: processes queue for the file, and are woken, instead of asking again and again.

SQLite lets a waiting writer sleep, for up to a tenth of a second, and look again: among many of them some wait long,
and the file idles meanwhile. Here they queue in the kernel; a dead process leaves the queue, and its lock dies with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Turns"]

try:
    import fcntl
except ImportError:  # not POSIX: SQLite's own waiting has to do
    fcntl = None  # type: ignore[assignment]  # asked for below


class Turns:
    """The queue of the processes that write to one file, at a lock beside it. One thread at a time may ask."""

    def __init__(self, path: Path) -> None:
        self._file = -1
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a folder that takes no more files: SQLite's own waiting has to do
                # A file of its own: to close a second handle on the log's would drop the locks SQLite has on it.
                self._file = os.open(path.with_name(path.name + "-turn"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    @property
    def file(self) -> int:
        """The file they queue at; -1 when there is none."""
        return self._file

    @contextlib.contextmanager
    def mine(self) -> Iterator[None]:
        """It is the caller's turn while it lasts; until then, this waits."""
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        with self.taken():
            yield

    def take(self) -> bool:
        """The turn, if nobody has it; then `taken` gives it back."""
        if self._file >= 0:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """The turn that was taken, while it lasts."""
        try:
            yield
        finally:
            if self._file >= 0:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Queue no more."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
