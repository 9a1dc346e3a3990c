"""A limit on the time that is spent on an answer."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agl_core.errors import QueryCut

__all__ = ["Deadline"]

_AGAIN = 0.02


class Deadline:
    """Seconds of work, over several stretches; when they are spent, what runs is interrupted."""

    def __init__(
        self,
        seconds: float | None,
        interrupt: Callable[[], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self.left = seconds
        self._interrupt = interrupt
        self._clock = clock

    def interrupts(self, interrupt: Callable[[], object]) -> None:
        """What to call when the time is up, from now on."""
        self._interrupt = interrupt

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is done while it lasts. Raises `QueryCut`."""
        import duckdb

        if self.left is None:
            yield
            return
        done, began = threading.Event(), self._clock()
        watch = threading.Thread(target=self._watch, args=(done, self.left), name="agl-query-deadline", daemon=True)
        watch.start()
        try:
            yield
        except (duckdb.InterruptException, sqlite3.OperationalError):
            if self._clock() - began < self.left:
                raise
            raise QueryCut(
                f"{self._seconds:g} seconds", cure="Ask for less, such as one run or a limit, or give it more time"
            ) from None
        finally:
            done.set()
            watch.join()
            self.left -= self._clock() - began

    def _watch(self, done: threading.Event, seconds: float) -> None:
        wait = max(seconds, 0.0)
        # Again and again: between two statements there is nothing that an interrupt would stop.
        while not done.wait(wait):
            self._interrupt()
            wait = _AGAIN
