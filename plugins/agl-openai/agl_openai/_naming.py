"""Puts the name of the agent under way (`agl.agent`) on the SDK's requests to the gateway."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Lock
from types import ModuleType
from typing import Any

from agl_core.errors import OutsideAttempt, TracerFailed
from agl_core.events import TracerAttached
from agl_core.record import Record
from agl_core.recorder import Recorder, current

# The tap's: a plugin that would import the SDK itself would cost every run a second.
from agl_core.tap import Importing

__all__ = ["TESTED", "naming"]

TESTED = ("2", "3")
"""The major versions that the plugin's README has a row for."""
_MODULE, _METHOD = "openai", "_prepare_request"
"""The method is the SDK's own place for code that adds headers by the request's URL."""
_log = logging.getLogger(__name__)


@contextmanager
def naming(recorder: Recorder) -> Iterator[None]:
    """While it lasts, requests to an attempt's URL carry the agent's name.

    It may be entered again, in any thread: after the last exit, whoever's it is, the SDK is what it was. One that is
    imported meanwhile is attached to then. `recorder` hears when it is. One of another shape is `TracerFailed`.
    """
    tracer = _of_this_process()
    tracer.enter(recorder)
    try:
        if tracer.missed:
            raise TracerFailed(_MODULE, why=tracer.missed)
        yield
    finally:
        tracer.leave(recorder)


@functools.cache
def _of_this_process() -> _Tracer:
    return _Tracer()


class _Tracer:
    """The clients, wrapped once while anybody is inside."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside: list[Recorder] = []
        self._told: dict[Recorder, Future[Sequence[Record]]] = {}
        self._wrapped: list[_Wrapped] = []
        self._is_said: set[str] = set()
        self._importing = Importing([_MODULE], lambda _name, module: self._attach(module))
        self.missed = ""
        """Why the SDK that is there cannot be attached to."""

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
        """One less; the last one puts back what was there."""
        with self._lock:
            self._inside.remove(recorder)
            told = None if recorder in self._inside else self._told.pop(recorder, None)
            if not self._inside:
                self._importing.stop()
                self.missed = ""
                while self._wrapped:
                    self._wrapped.pop().back()
        if told is not None:
            wait([told])

    def _attach(self, module: ModuleType) -> None:
        with self._lock:
            if not self._inside or self.missed:
                return
            try:
                if not self._wrapped:
                    self._wrapped = [_Wrapped(client) for client in (module.OpenAI, module.AsyncOpenAI)]
                    for wrapped in self._wrapped:
                        wrapped.put()
                self._tell(str(module.__version__))
            except Exception as error:  # noqa: BLE001 - it may be the agent that imports: its calls have no name, and go
                self.missed = f"{type(error).__name__}: {error}"
                self._say(f"agl-openai cannot attach to the SDK ({error!r}): calls are recorded, without `agl.agent`")

    def _tell(self, version: str) -> None:
        if version.partition(".")[0] not in TESTED:
            self._say(
                f"UNTESTED_VERSION: agl-openai was tested with openai {' and '.join(TESTED)}, and this is {version}. "
                "Calls are recorded all the same; look whether they bear the names of `agl.agent`"
            )
        for recorder in self._inside:
            if recorder not in self._told:
                # Not waited for before the end: the SDK may be imported in an event loop.
                event = TracerAttached(name=_MODULE, package=_MODULE, version=version)
                self._told[recorder] = recorder.note(event)

    def _say(self, words: str) -> None:
        if words not in self._is_said:
            self._is_said.add(words)
            _log.warning("%s", words)


class _Wrapped:
    """The method of one client class, with a signature put before it."""

    def __init__(self, owner: type) -> None:
        self._owner, self._is_inherited = owner, _METHOD not in vars(owner)
        self._original: Callable[..., Any] = getattr(owner, _METHOD)
        if list(inspect.signature(self._original).parameters) != ["self", "request"]:
            raise TypeError(f"{owner.__qualname__}.{_METHOD} is not what it was: {inspect.signature(self._original)}")

        @functools.wraps(self._original)
        def prepare(client: Any, request: Any) -> Any:
            if self._is_in:
                _sign(request)
            return self._original(client, request)

        self._replacement, self._is_in = prepare, True

    def put(self) -> None:
        """Put it there."""
        setattr(self._owner, _METHOD, self._replacement)

    def back(self) -> None:
        """Leave the class as it was found, unless somebody else has put theirs around ours."""
        self._is_in = False
        if vars(self._owner).get(_METHOD) is not self._replacement:
            # Theirs calls ours; taking ours out would take theirs out too. Ours does nothing from here on.
            _log.warning("%s.%s was replaced since, and is left alone", self._owner.__qualname__, _METHOD)
        elif self._is_inherited:
            delattr(self._owner, _METHOD)
        else:
            setattr(self._owner, _METHOD, self._original)


def _sign(request: Any) -> None:
    """Only the gateway is told: a header of ours never goes to a foreign host."""
    try:
        known = current().headers()
        if "/attempt/" in request.url.path:
            for name, value in known.items():
                request.headers.setdefault(name, value)
    except OutsideAttempt:
        return
    except Exception as error:  # noqa: BLE001 - the rim: the agent's request leaves, with a name or without
        _log.warning("a request could not be given its agent's name (%s)", type(error).__name__)
