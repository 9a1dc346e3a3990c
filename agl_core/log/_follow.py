"""Waking: who listens hears of each commit, of this process by push, of others within 20 ms while somebody waits."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from agl_core.errors import AglError
from agl_core.events import Unknown
from agl_core.record import Record

__all__ = ["Follower", "Subscription"]

POLL_SECONDS = 0.02

_BATCH = 500
_HEAD = "select coalesce(max(position), 0) from events"

Heard = Callable[[Sequence[Record]], None]
Subscription = Callable[[], None]
"""Call it to hear no more."""


class Read(Protocol):
    """How a log is read."""

    def __call__(self, *, after: int, until: int, types: Collection[str]) -> Iterator[Record]:
        """Records in order."""
        ...


class Follower:
    """One thread that delivers every record once, in order, off the writer's thread."""

    def __init__(self, watch: Callable[[], sqlite3.Connection], read: Read) -> None:
        self._watch, self._read = watch, read
        self._listeners: dict[int, _Listener] = {}
        self._pushed: list[Record] = []
        self._wake = threading.Condition()
        self._waiting = 0
        self._names = 0
        self._seen = 0
        self._thread: threading.Thread | None = None
        self._closing = False
        self._log = logging.getLogger(__name__)

    def subscribe(self, heard: Heard, *, head: int, types: Collection[str] = ()) -> Subscription:
        """Deliver what comes after `head` to `heard`, in batches, from one thread; of all types if none are named."""
        with self._wake:
            self._names += 1
            name = self._names
            if not self._listeners:
                self._seen = max(self._seen, head)  # what came while nobody listened is for nobody
            self._listeners[name] = _Listener(heard, head, frozenset(types))
            if self._thread is None:
                self._seen = head
                self._thread = threading.Thread(target=self._run, name="agl-log-follower", daemon=True)
                self._thread.start()

        def forget() -> None:
            with self._wake:
                self._listeners.pop(name, None)

        return forget

    def push(self, records: Sequence[Record]) -> None:
        """What this process has committed."""
        with self._wake:
            if self._listeners:
                self._pushed.extend(records)
                self._wake.notify()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While it lasts, commits of other processes are looked for."""
        with self._wake:
            self._waiting += 1
            self._wake.notify()
        try:
            yield
        finally:
            with self._wake:
                self._waiting -= 1

    def close(self) -> None:
        """Deliver what is there, and stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        db = self._watch()
        try:
            version = None
            while True:
                with self._wake:
                    if not self._pushed and not self._closing:
                        self._wake.wait(POLL_SECONDS if self._waiting else None)
                    pushed, self._pushed = self._pushed, []
                    closing, waiting = self._closing, self._waiting
                try:
                    if pushed:
                        self._deliver(pushed)
                    elif waiting:
                        now = db.execute("pragma data_version").fetchone()[0]
                        if now != version:
                            version = now
                            self._deliver_until(db.execute(_HEAD).fetchone()[0])
                except (AglError, sqlite3.Error):
                    # Whoever waits would wait for ever without this thread.
                    self._log.exception("the log could not be followed; the next commit tries again")
                if closing and not pushed:
                    return
        finally:
            db.close()

    def _deliver(self, pushed: list[Record]) -> None:
        fresh = [record for record in pushed if record.position > self._seen]
        if not fresh:
            return
        if fresh[0].position == self._seen + 1 and fresh[-1].position == self._seen + len(fresh):
            self._hand_out(fresh)
            self._seen = fresh[-1].position
        else:
            self._deliver_until(fresh[-1].position)

    def _deliver_until(self, until: int) -> None:
        """What others have written, as far as anybody here listens to it: the rest need not be decoded."""
        with self._wake:
            wanted = [listener.types for listener in self._listeners.values()]
        if not wanted:
            self._seen = until
            return
        types = frozenset().union(*wanted) if all(wanted) else frozenset[str]()
        batch: list[Record] = []
        for record in self._read(after=self._seen, until=until, types=types):
            batch.append(record)
            if len(batch) == _BATCH:
                self._hand_out(batch)
                self._seen = record.position
                batch = []
        self._hand_out(batch)
        self._seen = until

    def _hand_out(self, records: Sequence[Record]) -> None:
        with self._wake:
            listeners = list(self._listeners.values())
        for listener in listeners:
            fresh = [record for record in records if listener.wants(record)]
            if not fresh:
                continue
            try:
                listener.heard(fresh)
            except Exception:  # noqa: BLE001 - a guest; it is told with its traceback
                self._log.exception("a listener of the log raised; the others go on")


@dataclass(frozen=True, slots=True)
class _Listener:
    heard: Heard
    head: int
    """It begins after this: the follower may be behind what a newcomer has read."""
    types: frozenset[str]

    def wants(self, record: Record) -> bool:
        event = record.event
        type_ = event.name if isinstance(event, Unknown) else event.type
        return record.position > self.head and (not self.types or type_ in self.types)
