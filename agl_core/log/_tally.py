"""Calls that are out while the log takes no note of them: counted where a full disk has room, told by who opens next.

The file at whose lock the writers queue has a place for each log that is open to write, made when it is opened: to
count takes no space that is not there already. What a process that was killed had written there stays.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agl_core.events import CaptureLost
from agl_core.ids import ulid
from agl_core.log._owner import Owner, is_alive
from agl_core.record import Draft

__all__ = ["Held", "Tally", "clear", "drafts", "left"]

_WIDTH = 256
"""Bytes of a place; what is not used of it is blank."""


@dataclass(frozen=True, slots=True)
class Held:
    """A place that somebody has taken, and what is counted there."""

    at: int
    id: str
    owner: Owner
    count: int
    is_over: bool
    """Whether it was closed, or its process is dead."""


class Tally:
    """A place of one's own. `file` is -1 where there is none: then nothing is counted."""

    def __init__(self, file: int) -> None:
        """Take a place; the caller has the turn, so that nobody else takes it."""
        self._file, self._id = file, ulid()
        self._lock = threading.Lock()
        self._count = 0
        self._at = next(at for at, held in _places(file) if held is None or (held.is_over and not held.count))
        self._write("open")

    def add(self, count: int) -> None:
        """So many more are out; fewer, when it is negative."""
        with self._lock:
            self._count += count
            self._write("open")

    def close(self) -> None:
        """Count no more. What was counted stays, for whoever opens the log next."""
        with self._lock:
            self._write("over")
            self._file = -1

    def _write(self, state: str) -> None:
        _put(self._file, self._at, f"{Owner.me()} {self._id} {self._count} {state}")


def left(file: int) -> list[Held]:
    """What was counted by those who are gone: nobody can say any more what came of it. The caller has the turn."""
    return [held for _, held in _places(file) if held is not None and held.is_over and held.count]


def drafts(found: Sequence[Held]) -> list[Draft]:
    """Those, as facts: each once, however often they are written."""
    return [Draft(stream="log", event=_lost(one), key=f"lost/{one.id}") for one in found]


def clear(file: int, found: Sequence[Held]) -> None:
    """They have been told; the caller still has the turn."""
    for one in found:
        _put(file, one.at, "")


def _lost(one: Held) -> CaptureLost:
    why = f"the log of process {one.owner.pid} took no note of them to its end"
    return CaptureLost(count=one.count, where="agl_core.recorder", why=why)


def _places(file: int) -> Iterator[tuple[int, Held | None]]:
    """Each, and who has it; after the last there is room for another."""
    content = b""
    if file >= 0:
        with contextlib.suppress(OSError):
            content = os.pread(file, os.fstat(file).st_size, 0)
    for at in range(0, len(content), _WIDTH):
        yield at, _held(at, content[at : at + _WIDTH].decode(errors="replace"))
    yield -(-len(content) // _WIDTH) * _WIDTH, None


def _held(at: int, text: str) -> Held | None:
    try:
        owner, id_, count, state = text.strip().rsplit(" ", 3)
        holder = Owner.parse(owner)
        return Held(at, id_, holder, int(count), state == "over" or is_alive(holder) is False)
    except ValueError:  # blank
        return None


def _put(file: int, at: int, text: str) -> None:
    if file >= 0:
        with contextlib.suppress(OSError):  # no space even for a place, when the log was opened
            os.pwrite(file, text.encode()[: _WIDTH - 1].ljust(_WIDTH - 1) + b"\n", at)
