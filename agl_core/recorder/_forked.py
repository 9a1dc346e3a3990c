"""A forked process writes through the one it came from: no thread and no connection of a log survives a fork."""

from __future__ import annotations

import functools
import io
import logging
import os
import pickle
import socket
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal
from weakref import WeakValueDictionary

from agl_core.errors import LogError
from agl_core.events import Event

__all__ = ["Family", "Of", "Said", "What", "family"]

_PATIENCE = 0.25
"""Seconds that a child waits for its parent to have kept what it said; then it goes on, and waits again when it has."""
_LENGTH = 8
_log = logging.getLogger(__name__)

What = Literal["begin", "end", "record", "note"]


@dataclass(frozen=True, slots=True)
class Of:
    """Whose it is."""

    run_id: str | None
    rollout_id: str
    attempt_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a child would write."""

    recorder: int
    """Which one: a forked process has its recorders at the addresses they had."""
    what: What
    of: Of | None = None
    event: Event | None = None
    call_id: str = ""
    model: str = ""
    key: str | None = None


class Family:
    """The recorders of this process, for its children; and the way to its parent, if it was forked."""

    def __init__(self) -> None:
        self._recorders: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._forking = threading.local()
        self._children: set[socket.socket] = set()
        self._parent: _Parent | None = None

    def add(self, recorder: Any) -> None:
        """`recorder` writes for children too: it has a method `hear`, which gives the future of what was said."""
        self._recorders[id(recorder)] = recorder

    def say(self, said: Said) -> Future[Any]:
        """Have the parent write it; done when it is written, or does not come back in time."""
        future: Future[Any] = Future()
        try:
            if self._parent is None:
                raise LogError("this process was forked, and has no way to the log of its parent")
            self._parent.say(said)
        except (LogError, OSError, TypeError, ValueError, pickle.PicklingError) as error:
            future.set_exception(error)
        else:
            future.set_result(())
        return future

    def before(self) -> None:
        """A way is laid before there is anybody at its other end."""
        self._forking.ends = None
        if self._recorders:
            with suppress(OSError):  # no more files may be opened
                self._forking.ends = socket.socketpair()

    def in_parent(self) -> None:
        """From now on the child is heard, to its end."""
        if self._forking.ends is not None:
            ours, theirs = self._forking.ends
            theirs.close()
            self._children.add(ours)
            threading.Thread(target=self._listen, args=(ours,), name="agl-forked", daemon=True).start()

    def in_child(self) -> None:
        """From now on there is a parent; whose children its others are is not this process's business."""
        for other in self._children:
            with suppress(OSError):
                os.close(other.detach())  # whoever reads from it is not here any more, and would keep it open
        self._children = set()
        self._parent = None
        if self._forking.ends is not None:
            ours, theirs = self._forking.ends
            ours.close()
            self._parent = _Parent(theirs)

    def _listen(self, child: socket.socket) -> None:
        # A child that says what is no fact is heard no more: the calls it noted are told as unknown.
        with child, child.makefile("rb") as frames, suppress(OSError, pickle.UnpicklingError):
            while length := frames.read(_LENGTH):
                said = _heard(frames.read(int.from_bytes(length, "big")))
                recorder = self._recorders.get(said.recorder)
                if recorder is None:
                    _nod(child)
                else:
                    recorder.hear(said).add_done_callback(lambda _kept: _nod(child))
        self._children.discard(child)


class _Facts(pickle.Unpickler):
    """Makes values of our vocabulary and of events, and nothing else: a child may have become somebody else's code."""

    def find_class(self, module: str, name: str) -> Any:
        """A value's class that is loaded already; nothing is imported, and no function is found."""
        found = getattr(sys.modules.get(module), name, None)
        is_ours = module == __name__ or module.startswith("agl_core.events.")
        if isinstance(found, type) and is_dataclass(found) and (is_ours or issubclass(found, Event)):
            return found
        _log.warning("a forked process said %s.%s, which is no fact: it is heard no more", module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no fact")


def _heard(frame: bytes) -> Said:
    said = _Facts(io.BytesIO(frame)).load()
    if not isinstance(said, Said):
        raise pickle.UnpicklingError(f"{type(said).__name__} is nothing that a recorder can be told")
    return said


class _Parent:
    """The parent, as a child knows it: it hears what is said in order, and nods at each when it is kept."""

    def __init__(self, socket_: socket.socket) -> None:
        self._socket = socket_
        self._lock = threading.Lock()
        self._waiting = 0
        """How often it has not nodded yet."""

    def say(self, said: Said) -> None:
        # No codec of ours: it learns under a lock, which a thread that is not here any more may hold.
        frame = pickle.dumps(said)
        with self._lock:
            patience = 0.0 if self._waiting else _PATIENCE
            self._socket.settimeout(None)
            self._socket.sendall(len(frame).to_bytes(_LENGTH, "big") + frame)
            self._waiting += 1
            deadline = time.monotonic() + patience
            with suppress(TimeoutError, BlockingIOError):
                while self._waiting:
                    self._socket.settimeout(max(0.0, deadline - time.monotonic()))
                    nods = self._socket.recv(self._waiting)
                    if not nods:
                        raise LogError("the process that this one was forked from has ended, and the log with it")
                    self._waiting -= len(nods)


def _nod(child: socket.socket) -> None:
    with suppress(OSError):  # it has ended meanwhile, or does not listen: the log's writer must not wait for it
        child.send(b"\1", socket.MSG_DONTWAIT)


@functools.cache
def family() -> Family:
    """Of this process."""
    made = Family()
    if hasattr(os, "register_at_fork"):  # elsewhere nothing forks
        os.register_at_fork(before=made.before, after_in_parent=made.in_parent, after_in_child=made.in_child)
    return made
