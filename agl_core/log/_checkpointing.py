"""Moving commits from SQLite's write-ahead log into the file, off the way of those who wait for a commit."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable

__all__ = ["Checkpointer"]

_OFTEN = 1024
"""Commits and records between two looks."""
_LONG = 8192
"""Pages (32 MB) of write-ahead log after which a writer waits: only a pause lets it begin anew."""
_MOVE = "pragma wal_checkpoint(passive)"
"""As far as readers and writers let it, without waiting for any."""


class Checkpointer:
    """A thread that moves what has been committed; otherwise now and then a commit would wait for the disk."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._wake = threading.Event()
        self._closing = self._is_long = False
        self._since = 0
        self._thread = threading.Thread(target=self._run, name="agl-log-checkpointer", daemon=True)
        self._thread.start()

    def committed(self, db: sqlite3.Connection, records: int) -> None:
        """Called by the writer after each commit, with its connection."""
        self._since += records + 1
        if self._is_long:
            self._is_long = False
            db.execute(_MOVE)
        elif self._since >= _OFTEN:
            self._since = 0
            self._wake.set()

    def close(self) -> None:
        """Move no more; who disconnects last from the file moves the rest."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._connect()) as db:
            while True:
                self._wake.wait()
                self._wake.clear()
                if self._closing:
                    return
                with contextlib.suppress(sqlite3.Error):  # busy, or damaged: the writer will say so
                    _busy, pages, _moved = db.execute(_MOVE).fetchone()
                    self._is_long = pages > _LONG
