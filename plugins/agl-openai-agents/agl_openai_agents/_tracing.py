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

from agl_core.events import TracerAttached
from agl_core.record import Record
from agl_core.recorder import Recorder

# The tap's: a plugin that would import the SDK itself would cost every run a second and more.
from agl_core.tap import Importing
from agl_openai_agents._listening import Listening

__all__ = ["tracing"]

_DISTRIBUTION, _MODULE = "openai-agents", "agents"
_log = logging.getLogger(__name__)


@contextmanager
def tracing(recorder: Recorder) -> Iterator[None]:
    """While it lasts, what the SDK's agents do in an attempt is recorded as spans of that attempt.

    It may be entered again, in any thread: the first one in attaches, the last one out leaves the SDK with the very
    trace provider it had. An SDK that is imported meanwhile is attached to then. `recorder` hears when it is.
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
    """At most one listener, in front of the SDK's trace provider while somebody is inside."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside: list[Recorder] = []
        self._told: dict[Recorder, Future[Sequence[Record]]] = {}
        self._listening: Listening | None = None
        self._is_known = True
        self._importing = Importing([_MODULE], lambda _name, module: self._attach(module))

    def enter(self, recorder: Recorder) -> None:
        """One more wants it."""
        with self._lock:
            self._inside.append(recorder)
            if len(self._inside) == 1:
                self._importing.start()
        if _MODULE in sys.modules:
            # Returns at once, unless another thread is in the middle of it.
            self._attach(importlib.import_module(_MODULE))

    def leave(self, recorder: Recorder) -> None:
        """One less; the last one puts the SDK's own provider back."""
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

    def _attach(self, module: ModuleType) -> None:
        with self._lock:
            if not self._inside:
                return
            try:
                if self._listening is None:
                    self._listening = _put_in_front(module)
                self._tell()
            except Exception as error:  # noqa: BLE001 - another library's version: the agent works on without spans
                if self._is_known:
                    self._is_known = False
                    _log.warning(
                        "agl-openai-agents cannot attach to %s (%r): model calls are recorded, agents and tools are "
                        "not. Is it openai-agents, in a version that the plugin's README names?",
                        getattr(module, "__file__", _MODULE),
                        error,
                    )

    def _tell(self) -> None:
        event = TracerAttached(name=_DISTRIBUTION, package=_DISTRIBUTION, version=version(_DISTRIBUTION))
        for recorder in self._inside:
            if recorder not in self._told:
                # Not waited for before the end: the SDK may be imported in an event loop.
                self._told[recorder] = recorder.note(event)


def _put_in_front(module: ModuleType) -> Listening:
    # The host's is made here if nobody has asked for it yet: without a thread or a connection, as the agent would.
    listening = Listening(module.tracing, module.tracing.get_trace_provider())
    listening.start()
    return listening
