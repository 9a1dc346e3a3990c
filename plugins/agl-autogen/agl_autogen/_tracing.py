"""The tracer as its users hold it: put in once per process, for as long as anybody wants it."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from types import ModuleType

from agl_autogen import _chat, _runtime, _tools
from agl_autogen._heard import Hearing
from agl_autogen._places import Place
from agl_core.errors import TracerFailed
from agl_core.events import TracerAttached
from agl_core.record import Record
from agl_core.recorder import Recorder

# The tap's: a plugin that would import AutoGen itself would cost every run a second and more.
from agl_core.tap import Importing

__all__ = ["TESTED", "tracing"]

TESTED = ("0.7.1", "0.7.2", "0.7.3", "0.7.4", "0.7.5")
"""Of AutoGen's packages, which are released together; the plugin's README names them too."""
_NAME, _CORE = "autogen", "autogen_core"
_PACKAGES = ("autogen-core", "autogen-agentchat", "autogen-ext")
_PLACES: Mapping[str, Callable[[ModuleType, Hearing], list[Place]]] = {
    _CORE: _runtime.places,
    "autogen_core.tools": _tools.places,
    "autogen_agentchat.agents": _chat.places_of_agents,
    "autogen_agentchat.teams": _chat.places_of_teams,
    "autogen_ext.tools.mcp": _tools.places_of_mcp,
}
"""By the module that has the classes. None of them is imported here."""
_log = logging.getLogger(__name__)


@contextmanager
def tracing(recorder: Recorder) -> Iterator[None]:
    """While it lasts, what AutoGen's agents do in an attempt is recorded as spans of that attempt.

    It may be entered again, in any thread: the first one in attaches, the last one out puts every method back. What is
    imported meanwhile is attached to then. `recorder` hears when AutoGen is. One that is there and of another shape
    is `TracerFailed`.
    """
    tracer = _of_this_process()
    tracer.enter(recorder)
    try:
        if missed := tracer.missed:
            raise TracerFailed(_NAME, why="; ".join(f"{name}: {why}" for name, why in missed.items()))
        yield
    finally:
        tracer.leave(recorder)


@functools.cache
def _of_this_process() -> _Tracer:
    return _Tracer()


class _Tracer:
    """The places by module, heard while somebody is inside."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside: list[Recorder] = []
        self._told: dict[Recorder, Future[Sequence[Record]]] = {}
        self._hearing = Hearing()
        self._places: dict[str, list[Place]] = {}
        self._missed: dict[str, str] = {}
        self._is_said: set[str] = set()
        self._importing = Importing(_PLACES, self._attach)

    @property
    def missed(self) -> Mapping[str, str]:
        """The modules that are there and are of another shape, and which."""
        with self._lock:
            return dict(self._missed)

    def enter(self, recorder: Recorder) -> None:
        """One more wants it."""
        with self._lock:
            self._inside.append(recorder)
            if len(self._inside) == 1:
                self._hearing = Hearing()
                self._importing.start()
        # After the hook: what is imported from here on comes through it, what came before is in `sys.modules`.
        for name in _PLACES:
            if name in sys.modules:
                # Returns at once, unless another thread is in the middle of it.
                self._attach(name, importlib.import_module(name))

    def leave(self, recorder: Recorder) -> None:
        """One less; the last one puts everything back."""
        with self._lock:
            self._inside.remove(recorder)
            told = None if recorder in self._inside else self._told.pop(recorder, None)
            if not self._inside:
                self._importing.stop()
                self._hearing.is_on = False
                self._missed.clear()
                while self._places:
                    _, places = self._places.popitem()
                    for place in reversed(places):
                        place.back()
        if told is not None:
            wait([told])

    def _attach(self, name: str, module: ModuleType) -> None:
        with self._lock:
            if not self._inside:
                return
            if name not in self._places and name not in self._missed:
                try:
                    self._places[name] = _put(_PLACES[name](module, self._hearing))
                except Exception as error:  # noqa: BLE001 - it may be the agent that imports: it works on without spans
                    self._missed[name] = f"{type(error).__name__}: {error}"
                    self._say(
                        f"agl-autogen cannot attach to {name} ({error!r}): model calls are recorded, agents and tools "
                        "are not. Is it AutoGen, in a version that the plugin's README names?"
                    )
            if _CORE in self._places:
                self._tell()

    def _tell(self) -> None:
        others = {name: found for name in _PACKAGES if (found := _version(name)) not in (None, *TESTED)}
        if others:
            names = ", ".join(f"{name} {found}" for name, found in others.items())
            self._say(
                f"UNTESTED_VERSION: agl-autogen was tested with AutoGen {', '.join(TESTED)}, and this is {names}. "
                "Model calls are recorded all the same; look whether agents and tools are"
            )
        event = TracerAttached(name=_NAME, package=_PACKAGES[0], version=_version(_PACKAGES[0]))
        for recorder in self._inside:
            if recorder not in self._told:
                # Not waited for before the end: AutoGen may be imported in an event loop.
                self._told[recorder] = recorder.note(event)

    def _say(self, words: str) -> None:
        if words not in self._is_said:
            self._is_said.add(words)
            _log.warning("%s", words)


def _put(places: list[Place]) -> list[Place]:
    done: list[Place] = []
    try:
        for place in places:
            place.put()
            done.append(place)
    except Exception:
        for place in reversed(done):
            place.back()
        raise
    return done


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
