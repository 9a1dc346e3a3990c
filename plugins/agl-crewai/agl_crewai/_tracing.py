"""The tracer as its users hold it: put in once per process, for as long as anybody wants it."""

from __future__ import annotations

import functools
import importlib
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from importlib.metadata import version
from threading import Lock
from types import ModuleType

from agl_core.errors import TracerFailed
from agl_core.events import Event, PluginFailed, TracerAttached
from agl_core.record import Record
from agl_core.recorder import Recorder

# The tap's: a plugin that would import CrewAI itself would cost every run seconds.
from agl_core.tap import Importing
from agl_crewai._listening import Listening

__all__ = ["TESTED", "tracing"]

TESTED = ("1.15.21", "1.15.30")
"""The oldest and the newest that the tests have run with."""
_NAME = "crewai"
_log = logging.getLogger(__name__)


@contextmanager
def tracing(recorder: Recorder) -> Iterator[None]:
    """While it lasts, what crews and agents do in an attempt is recorded as spans of that attempt.

    It may be entered again, in any thread: the first one in attaches, the last one out puts back every name. A CrewAI
    that is imported meanwhile is attached to then. `recorder` hears when it is. `TracerFailed` where CrewAI is there
    and cannot be attached to.
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
    """At most one listener, in place while somebody is inside."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside: list[Recorder] = []
        self._told: dict[Recorder, Future[Sequence[Record]]] = {}
        self._listening: Listening | None = None
        self._is_warned = False
        self._importing = Importing([_NAME], lambda _name, module: self._imported(module))

    def enter(self, recorder: Recorder) -> None:
        """One more wants it."""
        with self._lock:
            self._inside.append(recorder)
            if len(self._inside) == 1:
                self._importing.start()
        if _NAME in sys.modules:
            try:
                # Returns at once, unless another thread is in the middle of it.
                self._attach(importlib.import_module(_NAME))
            except Exception as error:
                self.leave(recorder)
                raise TracerFailed(_NAME, why=_why(error)) from error

    def leave(self, recorder: Recorder) -> None:
        """One less; the last one puts everything back."""
        with self._lock:
            self._inside.remove(recorder)
            told = None if recorder in self._inside else self._told.pop(recorder, None)
            if not self._inside:
                self._importing.stop()
                listening, self._listening = self._listening, None
                if listening is not None:
                    listening.stop()
        if told is not None:
            wait([told])

    def _imported(self, module: ModuleType) -> None:
        """An agent has imported it: whatever is wrong with it is no business of the agent's."""
        try:
            self._attach(module)
        except Exception as error:  # noqa: BLE001 - another library's version: the agent works on without spans
            _log.warning(
                "agl-crewai cannot attach (%s): model calls are recorded, crews and tools are not", _why(error)
            )
            with self._lock:
                self._tell(PluginFailed(name=_NAME, hook="agl_install_tracer", why=_why(error)))

    def _attach(self, module: ModuleType) -> None:
        with self._lock:
            if not self._inside:
                return
            if self._listening is None:
                self._warn()
                listening = Listening(module)
                listening.start()
                self._listening = listening
            self._tell(TracerAttached(name=_NAME, package=_NAME, version=version(_NAME)))

    def _tell(self, event: Event) -> None:
        for recorder in self._inside:
            if recorder not in self._told:
                # Not waited for before the end: CrewAI may be imported in an event loop.
                self._told[recorder] = recorder.note(event)

    def _warn(self) -> None:
        there = version(_NAME)
        if self._is_warned or _numbers(TESTED[0]) <= _numbers(there) <= _numbers(TESTED[1]):
            return
        self._is_warned = True
        _log.warning(
            "UNTESTED_VERSION: crewai %s is not one of %s to %s, which agl-crewai was tested with: model calls are "
            "recorded all the same, but see whether the spans of a rollout are all there",
            there,
            *TESTED,
        )


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release)[:3])


def _why(error: Exception) -> str:
    return f"crewai {version(_NAME)}: {type(error).__name__}: {error}"
