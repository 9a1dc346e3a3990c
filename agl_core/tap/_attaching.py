"""A library's tracer, at most once in a process: attached while anybody wants it, whenever the library comes."""

from __future__ import annotations

import importlib
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from types import ModuleType
from typing import Protocol

from agl_core.errors import TracerFailed
from agl_core.events import Event, PluginFailed, TracerAttached
from agl_core.record import Record
from agl_core.recorder import Recorder
from agl_core.tap._importing import Importing

__all__ = ["Attaching", "Part"]

Tested = Mapping[str, tuple[str, str]]
"""Of a distribution, the oldest version that was tested and the newest, to the digit that matters: `("1.0", "1.4")`."""


class Part(Protocol):
    """What is put into one module of a library."""

    def start(self) -> None:
        """Put it in. Raises where the library is not what it was when this was written, and then leaves no mark."""
        ...

    def stop(self) -> None:
        """Take it out; every name is the very object it was."""
        ...


class Attaching:
    """Puts parts into modules of a library, from the first who wants them to the last, and says so in the log.

    `parts` makes what goes into a module, by the module's name; None for a module that only has that name. `of` says
    whose a module is: the first distribution is named in the handshake, and all of them are compared with `tested`;
    a module that is left out of it is part of the same library. The modules are never imported by this.
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, Callable[[ModuleType], Part | None]],
        *,
        of: Mapping[str, Sequence[str]],
        tested: Tested,
        lost: str = "model calls are recorded, agents and tools are not",
    ) -> None:
        """`lost` is what an attempt goes without, where the library cannot be attached to."""
        self._name, self._parts, self._of, self._tested, self._lost = name, parts, of, tested, lost
        self._lock = Lock()
        self._inside: list[Recorder] = []
        self._attached: dict[str, Part] = {}
        self._missed: dict[str, str] = {}
        self._told: dict[Recorder, dict[str, Future[Sequence[Record]]]] = {}
        self._said: set[str] = set()
        self._log = logging.getLogger(f"agl.{name}")
        self._importing = Importing(parts, self._attach)

    @contextmanager
    def tracing(self, recorder: Recorder) -> Iterator[None]:
        """While it lasts, the library is attached to; `recorder` hears when it is.

        It may be entered again, in any thread. What is imported meanwhile is attached to then; where that fails, it is
        a `plugin.failed`, and the agent goes on. `TracerFailed` where it is there already, and of another shape.
        """
        self._enter(recorder)
        try:
            if self._missed:
                raise TracerFailed(self._name, why="; ".join(self._missed.values()))
            yield
        finally:
            self._leave(recorder)

    def _enter(self, recorder: Recorder) -> None:
        with self._lock:
            self._inside.append(recorder)
            if len(self._inside) == 1:
                self._importing.start()
        # After the hook: what is imported from here on comes through it, what came before is in `sys.modules`.
        for name in self._parts:
            if name in sys.modules:
                # Returns at once, unless another thread is in the middle of it.
                self._attach(name, importlib.import_module(name))

    def _leave(self, recorder: Recorder) -> None:
        with self._lock:
            self._inside.remove(recorder)
            told = {} if recorder in self._inside else self._told.pop(recorder, {})
            if not self._inside:
                self._importing.stop()
                self._missed.clear()
                while self._attached:
                    self._attached.popitem()[1].stop()
        wait(told.values())

    def _attach(self, name: str, module: ModuleType) -> None:
        with self._lock:
            if not self._inside:
                return
            if name not in self._attached and name not in self._missed:
                try:
                    part = self._parts[name](module)
                    if part is None:
                        return
                    part.start()
                except Exception as error:  # noqa: BLE001 - it may be the agent that imports: it works on without
                    self._miss(name, error)
                else:
                    self._attached[name] = part
                    self._doubt(name)
            self._tell()

    def _miss(self, name: str, error: Exception) -> None:
        versions = " ".join(f"{package} {_version(package)}" for package in self._of.get(name, ())[:1]) or name
        self._missed[name] = why = f"{versions}: {type(error).__name__}: {error}"
        self._say(f"agl-{self._name} cannot attach ({why}): {self._lost}")

    def _doubt(self, name: str) -> None:
        for package in self._of.get(name, ()):
            there = _version(package)
            if there is not None and not _lies_between(there, *self._tested[package]):
                oldest, newest = self._tested[package]
                self._say(
                    f"UNTESTED_VERSION: {package} {there} is not one of {oldest} to {newest}, which agl-{self._name} "
                    f"was tested with. It is attached; see whether all is there that you expect"
                )

    def _tell(self) -> None:
        facts: dict[str, Event] = {
            name: TracerAttached(name=self._name, package=self._of[name][0], version=self._version(name))
            for name in self._attached
            if self._of.get(name)
        }
        facts |= {
            name: PluginFailed(name=self._name, hook="agl_install_tracer", why=why)
            for name, why in self._missed.items()
        }
        for recorder in self._inside:
            told = self._told.setdefault(recorder, {})
            for name, fact in facts.items():
                if name not in told:
                    # Not waited for before the end: a library may be imported in an event loop.
                    told[name] = recorder.note(fact)

    def _version(self, name: str) -> str:
        """That of the distribution; of a module that none brings, its own word."""
        return _version(self._of[name][0]) or str(getattr(sys.modules.get(name), "__version__", "unknown"))

    def _say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self._log.warning("%s", words)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _lies_between(there: str, oldest: str, newest: str) -> bool:
    low, high = _numbers(oldest), _numbers(newest)
    return low <= _numbers(there)[: len(low)] and _numbers(there)[: len(high)] <= high


def _numbers(release: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", release)
    return tuple(int(number) for number in found[0].split(".")) if found else ()
