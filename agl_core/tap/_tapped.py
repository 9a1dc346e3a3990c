"""The tap as its users hold it: put in once per process, for as long as anybody wants it."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from types import ModuleType

from agl_core.errors import TracerFailed
from agl_core.events import CaptureLost, TracerAttached
from agl_core.recorder import Recorder
from agl_core.tap import _httpx, _lm15
from agl_core.tap._asked import dialects
from agl_core.tap._importing import Importing
from agl_core.tap._patch import Patch
from agl_core.tap._strays import STRAYS

__all__ = ["Tap", "tapped", "tapping"]

Patches = Callable[[ModuleType], list[Patch]]
LIBRARIES: Mapping[str, Patches] = {
    "httpx": _httpx.patches,
    "httpx2": _httpx.patches,
    "lm15": _lm15.patches,
    "dspy._vendor.lm15": _lm15.patches,
}
"""What is patched, and by whom. None of them is imported here."""
_log = logging.getLogger(__name__)


@contextmanager
def tapped() -> Iterator[None]:
    """While it lasts, model calls that leave this process through `httpx`, `httpx2` or `lm15` are recorded.

    Each belongs to the attempt whose code sends it; outside an attempt nothing is recorded. It may be entered again,
    in any thread: the first one in patches, the last one out puts every attribute back. A library that is imported
    meanwhile is patched then. A call that is under way at the end is still recorded.
    """
    tap = _of_this_process()
    tap.enter()
    try:
        yield
    finally:
        tap.leave()


@contextmanager
def tapping(recorder: Recorder) -> Iterator[None]:
    """`tapped()` for as long as agents run, said in the log: the version of each library that is there by now.

    At the end, also how many calls belonged to no attempt.
    """
    STRAYS.take()
    with tapped():
        if missed := _of_this_process().missed:
            raise TracerFailed("tap", why="; ".join(f"{name}: {why}" for name, why in missed.items()))
        for name in _of_this_process().attached:
            version = getattr(sys.modules[name], "__version__", None)
            recorder.note(TracerAttached(name="tap", package=name, version=version)).result()
        try:
            yield
        finally:
            if count := STRAYS.take():
                recorder.note(CaptureLost(count=count, where="agl_core.tap", why="unattributed")).result()


@functools.cache
def _of_this_process() -> Tap:
    return Tap(LIBRARIES)


class Tap:
    """Patches by library, in place while somebody is inside."""

    def __init__(self, libraries: Mapping[str, Patches]) -> None:
        self._libraries = libraries
        self._lock = Lock()
        self._inside = 0
        self._patches: list[Patch] = []
        self._attached: list[str] = []
        self._missed: dict[str, str] = {}
        self._importing = Importing(libraries, self._attach)

    @property
    def attached(self) -> tuple[str, ...]:
        """The libraries whose calls are seen now: those that are there, and could be patched."""
        with self._lock:
            return tuple(self._attached)

    @property
    def missed(self) -> Mapping[str, str]:
        """The libraries that are there and could not be patched, and why."""
        with self._lock:
            return dict(self._missed)

    def enter(self) -> None:
        """One more wants it."""
        dialects()  # read now, not in the middle of the agent's first call
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._importing.start()
        # After the hook: what is imported from here on comes through it, what came before is in `sys.modules`.
        for name in self._libraries:
            if name in sys.modules:
                # Returns at once, unless another thread is in the middle of it.
                self._attach(name, importlib.import_module(name))

    def leave(self) -> None:
        """One less; the last one puts everything back."""
        with self._lock:
            self._inside -= 1
            if self._inside:
                return
            self._importing.stop()
            self._attached.clear()
            self._missed.clear()
            while self._patches:
                self._patches.pop().undo()

    def _attach(self, name: str, module: ModuleType) -> None:
        with self._lock:
            if not self._inside:
                return
            applied: list[Patch] = []
            try:
                for patch in self._libraries[name](module):
                    # `httpx` may be another name for `httpx2`, and whoever enters second finds the work done.
                    if not any(patch.is_of(other) for other in self._patches):
                        patch.apply()
                        applied.append(patch)
            except Exception as error:  # noqa: BLE001 - another library's version: what else works, works on
                self._missed[name] = f"{type(error).__name__}: {error}"
                _log.exception("the tap cannot attach to %s: calls through it are not recorded", name)
                while applied:
                    applied.pop().undo()
                return
            self._patches += applied
            if name not in self._attached:
                self._attached.append(name)
