"""The tracer as its users hold it: put in once per process, for as long as anybody wants it."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from importlib.metadata import version
from threading import Lock
from types import ModuleType

from agl_core.errors import TracerFailed
from agl_core.events import TracerAttached
from agl_core.record import Record
from agl_core.recorder import Recorder

# The tap's: a plugin that would import LangChain itself would cost every run a second and more.
from agl_core.tap import Importing
from agl_langchain._callbacks import Callbacks
from agl_langchain._hearing import Hearing
from agl_langchain._tasks import Tasks
from agl_langchain._versions import untested

__all__ = ["tracing"]

_NAME = "langchain"
_PLACES = {Callbacks.MODULE: "langchain-core", Tasks.MODULE: "langgraph"}
"""The modules that are attached to, each the last one that a run needs, and whose they are."""
_log = logging.getLogger(__name__)


@contextmanager
def tracing(recorder: Recorder) -> Iterator[None]:
    """While it lasts, what LangChain's agents do in an attempt is recorded as spans of that attempt.

    It may be entered again, in any thread: the first one in attaches, the last one out leaves both libraries as they
    were. One that is imported meanwhile is attached to then. `recorder` hears when it is. One that is there already
    and cannot be attached to is `TracerFailed`.
    """
    tracer = _of_this_process()
    tracer.enter(recorder)
    try:
        yield
    finally:
        tracer.leave(recorder)


@functools.cache
def _of_this_process() -> _Tracer:
    return _Tracer()


class _Tracer:
    """At most one listener, in both libraries while somebody is inside."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside: list[Recorder] = []
        self._told: dict[Recorder, dict[str, Future[Sequence[Record]]]] = {}
        self._hearing = Hearing()
        self._attached: dict[str, Callbacks | Tasks] = {}
        self._missed: dict[str, str] = {}
        self._said: set[str] = set()
        """What was warned of: once is enough."""
        self._importing = Importing(_PLACES, self._attach)

    def enter(self, recorder: Recorder) -> None:
        """One more wants it."""
        with self._lock:
            self._inside.append(recorder)
            if len(self._inside) == 1:
                self._hearing.is_on = True
                self._importing.start()
        for name in _PLACES:
            if name in sys.modules:
                # Returns at once, unless another thread is in the middle of it.
                self._attach(name, importlib.import_module(name))
        with self._lock:
            missed = "; ".join(f"{package}: {why}" for package, why in self._missed.items())
        if missed:
            self.leave(recorder)
            raise TracerFailed(_NAME, why=missed)

    def leave(self, recorder: Recorder) -> None:
        """One less; the last one takes out what was put in."""
        with self._lock:
            self._inside.remove(recorder)
            told = {} if recorder in self._inside else self._told.pop(recorder, {})
            if not self._inside:
                self._importing.stop()
                self._hearing.is_on = False
                self._missed.clear()
                while self._attached:
                    self._attached.popitem()[1].stop()
        wait(told.values())

    def _attach(self, name: str, module: ModuleType) -> None:
        package = _PLACES[name]
        with self._lock:
            if not self._inside:
                return
            try:
                if package not in self._attached:
                    place = (
                        Callbacks(module, self._hearing) if name == Callbacks.MODULE else Tasks(module, self._hearing)
                    )
                    place.start()
                    self._attached[package] = place
                    self._doubt(package)
                self._tell()
            except Exception as error:  # noqa: BLE001 - another library's version: the agent works on without spans
                self._missed[package] = f"{type(error).__name__}: {error}"
                self._warn(
                    f"{package} cannot be attached to ({error!r}): model calls are recorded, agents and tools are not. "
                    "Is it a version that the README of agl-langchain names?"
                )

    def _doubt(self, package: str) -> None:
        for doubted in untested(package):
            self._warn(
                f"UNTESTED_VERSION: {doubted} is none that agl-langchain was tested with; its README has a table"
            )

    def _warn(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            _log.warning("%s", words)

    def _tell(self) -> None:
        for recorder in self._inside:
            told = self._told.setdefault(recorder, {})
            for package in self._attached:
                if package not in told:
                    event = TracerAttached(name=_NAME, package=package, version=version(package))
                    # Not waited for before the end: a library may be imported in an event loop.
                    told[package] = recorder.note(event)
