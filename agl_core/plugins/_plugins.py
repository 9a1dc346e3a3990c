"""The plugins of a process: what they bring, and what becomes of what they raise."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from agl_core import hookspecs
from agl_core.codec import Codec
from agl_core.errors import EngineFailed, LogUnsupported, PluginBroken, TracerFailed, UnknownName
from agl_core.events import CORE_EVENTS, CORE_UPCASTS, Event, PluginFailed, Upcast, Vocabulary
from agl_core.log import SqliteLog
from agl_core.record import Draft, Record

if TYPE_CHECKING:
    from agl_core.adapter import Adapter
    from agl_core.engine import Engine

__all__ = ["Loaded", "Plugins"]

GROUP = "agl"
_BUILTIN = "agl_core._builtin"
_PATIENCE = 3
"""So many failures of a notified plugin, and it is asked no more."""
_log = logging.getLogger(__name__)
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A plugin, and how it went."""

    name: str
    version: str | None
    source: str
    hooks: tuple[str, ...] = ()
    error: str | None = None


class Plugins:
    """The plugins of a process. `AGL_LOAD_PLUGINS` names the only ones to load, `AGL_DISABLE_PLUGINS` those not to,
    and `AGL_REQUIRED_PLUGINS` those without which nothing starts."""  # noqa: D205, D209 - one sentence

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("agl")
        self.manager.add_hookspecs(hookspecs)
        self.hook = self.manager.hook
        self.loaded: list[Loaded] = []
        self._failures: dict[str, int] = {}

    @classmethod
    def load(cls) -> Plugins:
        """The built-ins, and every entry point of the group `agl` that loads."""
        plugins = cls()
        # Reverse order: pluggy calls the last registered first, and plugins should run A to Z.
        for entry in sorted(_wanted(entry_points(group=GROUP)), key=lambda entry: entry.name, reverse=True):
            plugins._enter(entry)
        plugins.register(importlib.import_module(_BUILTIN), name="builtin", source="agl-core")
        plugins.loaded.sort(key=lambda loaded: loaded.name)
        plugins._require(_names("AGL_REQUIRED_PLUGINS"))
        return plugins

    def _enter(self, entry: EntryPoint) -> None:
        source = entry.dist.name if entry.dist else entry.value
        version = entry.dist.version if entry.dist else None
        try:
            self.register(entry.load(), name=entry.name, source=source, version=version)
        except Exception as error:  # noqa: BLE001 - a guest: it is listed with its error, and the tool still works
            self.manager.unregister(name=entry.name) if self.manager.has_plugin(entry.name) else None
            why = f"{type(error).__name__}: {error}"
            self.loaded.append(Loaded(name=entry.name, version=version, source=source, error=why))

    def register(self, plugin: object, *, name: str, source: str = "", version: str | None = None) -> None:
        """Take a plugin in; one that misspells a hook or an argument is refused here, not when it is called."""
        self.manager.register(plugin, name=name)
        unknown = [
            hook for hook in dir(plugin) if hook.startswith("agl_") and hasattr(getattr(plugin, hook), "agl_impl")
            and not hasattr(hookspecs, hook)
        ]  # fmt: skip
        if unknown:
            raise PluginBroken(name, why=f"there is no hook called {', '.join(unknown)}")
        hooks = tuple(sorted(caller.name for caller in self.manager.get_hookcallers(plugin) or ()))
        self.loaded.append(Loaded(name=name, version=version, source=source, hooks=hooks))

    def _require(self, names: Iterable[str]) -> None:
        good = {loaded.name: loaded.error for loaded in self.loaded}
        for name in names:
            if name not in good:
                raise PluginBroken(name, why="it is required (AGL_REQUIRED_PLUGINS) and not installed")
            if good[name]:
                raise PluginBroken(name, why=str(good[name]))

    # --- gather

    def algorithms(self) -> dict[str, Any]:
        """Name to algorithm class."""
        return self._gather("agl_register_algorithms")

    def adapter(self, name: str) -> type[Adapter[Any]]:
        """The adapter class of that name."""
        known = self._gather("agl_register_adapters")
        if name not in known:
            raise UnknownName("adapter", name, known=known)
        found: type[Adapter[Any]] = known[name]
        return found

    def algorithm(self, name: str) -> Any:
        """The algorithm class of that name."""
        known = self.algorithms()
        if name not in known:
            raise UnknownName("algorithm", name, known=known)
        return known[name]

    def codec(self) -> Codec:
        """A codec that knows the events of the core and of every plugin."""
        found = [thing for things in self._answers("agl_register_events") for thing in things]
        events = [thing for thing in found if isinstance(thing, type) and issubclass(thing, Event)]
        upcasts = [thing for thing in found if isinstance(thing, Upcast)]
        return Codec(Vocabulary([*CORE_EVENTS, *events], [*CORE_UPCASTS, *upcasts]))

    @contextmanager
    def tracing(self, recorder: Any, failed: Callable[[PluginFailed], None] | None = None) -> Iterator[None]:
        """Every tracer in place. The first that cannot attach is `TracerFailed`; `failed` is told of it instead."""
        with ExitStack() as attached:
            for impl in reversed(self.hook.agl_install_tracer.get_hookimpls()):
                try:
                    tracer = self._ask(impl, {"recorder": recorder})
                    if tracer is not None:
                        attached.enter_context(tracer)
                except Exception as error:  # a guest, of which nobody else knows what it raises
                    why = error.why if isinstance(error, TracerFailed) else f"{type(error).__name__}: {error}"
                    name = error.tracer if isinstance(error, TracerFailed) else impl.plugin_name
                    if failed is None:
                        raise TracerFailed(name, why=why) from error
                    failed(PluginFailed(name=name, hook="agl_install_tracer", why=why))
            yield

    def _gather(self, hook: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for impl in reversed(getattr(self.hook, hook).get_hookimpls()):
            for name, thing in (self._ask(impl, {}) or {}).items():
                if name in found:
                    raise PluginBroken(impl.plugin_name, why=f"{hook}: the name {name!r} is taken by another plugin")
                found[name] = thing
        return found

    def _answers(self, hook: str, **arguments: Any) -> list[Any]:
        impls = reversed(getattr(self.hook, hook).get_hookimpls())
        return [answer for impl in impls if (answer := self._ask(impl, arguments)) is not None]

    def _ask(self, impl: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Any:
        return impl.function(*(arguments[name] for name in impl.argnames))

    # --- first answer wins

    def open_log(self, url: str, *, readonly: bool = False) -> SqliteLog:
        """The log at `url`, with the events, projections and redaction of all plugins."""
        log = self.hook.agl_open_log(url=url, readonly=readonly, codec=self.codec(), redact=self.redact)
        if log is None:
            raise LogUnsupported(url, why="no plugin knows that kind of address", cure="Use a path, or sqlite:///path")
        found: SqliteLog = log
        return found

    def open_engine(self, url: str, name: str) -> Engine:
        """An engine for `url`, not started."""
        engine = self.hook.agl_open_engine(url=url, name=name)
        if engine is None:
            kind = url.partition(":")[0]
            raise EngineFailed(
                url, why=f"no plugin opens {kind!r} models: is agl-{kind} installed? `agl plugins` tells"
            )
        found: Engine = engine
        return found

    def open_executor(self, name: str, config: Mapping[str, Any]) -> Any:
        """The executor of that name."""
        executor = self.hook.agl_open_executor(name=name, config=config)
        if executor is None:
            raise UnknownName("executor", name, known=["inprocess"])
        return executor

    # --- transform

    def redact(self, draft: Draft) -> Draft:
        """The draft without what must not be kept."""
        for impl in reversed(self.hook.agl_redact.get_hookimpls()):
            draft = self._ask(impl, {"draft": draft}) or draft
        return draft

    # --- notify

    def notify(self, hook: str, failed: Callable[[PluginFailed], None], **arguments: Any) -> list[Any]:
        """Tell every guest; one that raises is reported to `failed`, and after three times asked no more."""
        answers = []
        for impl in reversed(getattr(self.hook, hook).get_hookimpls()):
            if self._failures.get(impl.plugin_name, 0) >= _PATIENCE:
                continue
            try:
                answers.append(self._ask(impl, arguments))
            except Exception as error:  # noqa: BLE001 - a guest: what it raises becomes an event
                self._failures[impl.plugin_name] = self._failures.get(impl.plugin_name, 0) + 1
                failed(PluginFailed(name=impl.plugin_name, hook=hook, why=f"{type(error).__name__}: {error}"))
        return answers

    def follow(self, log: SqliteLog) -> Callable[[], None]:
        """Tell `agl_recorded` of what this process commits, until the returned function is called."""
        if not self.hook.agl_recorded.get_hookimpls():
            return lambda: None

        def failed(event: PluginFailed) -> None:
            log.submit([Draft(stream="log", event=event)])

        def heard(records: Iterable[Record]) -> None:
            for record in records:
                if not record.event.type.startswith("plugin."):
                    self.notify("agl_recorded", failed, record=record)

        return log.subscribe(heard)


def _wanted(entries: Iterable[EntryPoint]) -> Iterable[EntryPoint]:
    only, without = _names("AGL_LOAD_PLUGINS"), _names("AGL_DISABLE_PLUGINS")
    restricted = "AGL_LOAD_PLUGINS" in os.environ
    return (entry for entry in entries if (not restricted or entry.name in only) and entry.name not in without)


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
