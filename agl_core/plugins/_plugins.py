"""The plugins of a process: what they bring, and what becomes of what they raise."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pluggy

from agl_core import hookspecs
from agl_core.errors import EngineFailed, LogUnsupported, PluginBroken, UnknownName
from agl_core.events import PluginFailed
from agl_core.plugins._asking import GUILTY, Asking, told
from agl_core.plugins._faults import refuse_faults
from agl_core.plugins._found import BUILTIN, Found, Loaded, found, names, unwanted
from agl_core.plugins._gathered import Gathered
from agl_core.plugins._loading import broken, imported, say_once
from agl_core.plugins._tracing import tracing
from agl_core.record import Draft, Record

if TYPE_CHECKING:
    import click

    from agl_core.adapter import Adapter
    from agl_core.codec import Codec
    from agl_core.engine import Engine
    from agl_core.export import Exporter
    from agl_core.log import SqliteLog
    from agl_core.recorder import Recorder
    from agl_core.spans import SpanDialect

__all__ = ["Plugins"]

_BUILTIN = "agl_core._builtin"
_PATIENCE = 3
"""So many failures of a notified plugin, and it is asked no more."""
_log = logging.getLogger(__name__)


class Plugins:
    """The plugins of a process. `AGL_LOAD_PLUGINS` names the only ones to load, `AGL_DISABLE_PLUGINS` those not to,
    and `AGL_REQUIRED_PLUGINS` those without which nothing starts."""  # noqa: D205, D209 - one sentence

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("agl")
        self.manager.add_hookspecs(hookspecs)
        self.hook = self.manager.hook
        self.loaded: list[Loaded] = []
        """Those that were wanted, also broken ones."""
        self.disabled: list[Loaded] = []
        """Those that the environment leaves out."""
        self._asking = Asking(self.manager)
        self._gathered = Gathered(self._asking)
        self._failures: dict[str, int] = {}

    @classmethod
    def load(cls, *, lenient: bool = False) -> Plugins:
        """The core's own, and every entry point of the group `agl` that loads; a broken one is listed with its error.

        With AGL_STRICT_PLUGINS=1 a broken one is raised. `lenient` is for looking at them: then not even a plugin that
        is required and broken is.
        """
        plugins = cls()
        strict = not lenient and os.environ.get("AGL_STRICT_PLUGINS", "") not in {"", "0"}
        # Reverse order: pluggy calls the last registered first, and plugins should run A to Z.
        installed = found()
        for one in reversed(installed):
            plugins._enter(one, strict=strict)
        for absent in set(names("AGL_LOAD_PLUGINS")) - {one.name for one in installed} - {BUILTIN}:
            _log.warning("AGL_LOAD_PLUGINS names %r, and no plugin of that name is installed", absent)
        core = importlib.import_module(_BUILTIN)
        plugins.register(core, name=BUILTIN, distribution="agl-core", version=version("agl-core"))
        plugins.loaded.sort(key=lambda loaded: loaded.name)
        if not lenient:
            plugins._require(names("AGL_REQUIRED_PLUGINS"))
            for loaded in plugins.loaded:
                if loaded.error:
                    say_once(loaded.name, loaded.error)
        return plugins

    def register(
        self,
        plugin: object,
        *,
        name: str,
        distribution: str = "",
        version: str | None = None,
        load_ms: float | None = None,
    ) -> None:
        """Take a plugin in; one that misspells a hook or an argument is refused whole, and here, not when called."""
        try:
            refuse_faults(plugin, name)
            self.manager.register(plugin, name=name)
        except PluginBroken:
            raise
        except Exception as error:  # looking at a guest's attributes may run code of its own
            if self.manager.get_plugin(name) is plugin:
                self.manager.unregister(plugin)
            raise PluginBroken(name, why=told(error)) from error
        hooks = tuple(sorted(caller.name for caller in self.manager.get_hookcallers(plugin) or ()))
        self.loaded.append(Loaded(name=name, version=version, distribution=distribution, hooks=hooks, load_ms=load_ms))

    # --- loading

    def _enter(self, one: Found, *, strict: bool) -> None:
        name, distribution = one.name, one.distribution
        if by := unwanted(name):
            left_out = Loaded(name=name, version=one.version, distribution=distribution, disabled_by=by)
            self.disabled.append(left_out)
            return
        try:
            plugin, load_ms = imported(one)
            self._asking.show(f"{name}: loaded, {load_ms or 0:.2f} ms")
            self.register(plugin, name=name, distribution=distribution, version=one.version, load_ms=load_ms)
        except PluginBroken as error:
            if strict:
                raise
            self.loaded.append(broken(one, error))

    def _require(self, required: Iterable[str]) -> None:
        known = {loaded.name: loaded for loaded in (*self.disabled, *self.loaded)}
        for name in required:
            match known.get(name):
                case None:
                    why, cure = "it is required (AGL_REQUIRED_PLUGINS) and not installed", "Install it"
                case Loaded(disabled_by=str(by)):
                    why, cure = f"it is required (AGL_REQUIRED_PLUGINS), and {by} leaves it out", "Choose one of both"
                case Loaded(error=str(error)):
                    why, cure = error, "Mend it: it is required (AGL_REQUIRED_PLUGINS)"
                case _:
                    continue
            raise PluginBroken(name, why=why, cure=cure)

    # --- gather

    def algorithms(self) -> dict[str, Any]:
        """Name to algorithm class."""
        return self._gathered.named("agl_register_algorithms")

    def algorithm(self, name: str) -> Any:
        """The algorithm class of that name."""
        return self._the("algorithm", name, self.algorithms())

    def adapters(self) -> dict[str, type[Adapter[Any]]]:
        """Name to adapter class."""
        return self._gathered.named("agl_register_adapters")

    def adapter(self, name: str) -> type[Adapter[Any]]:
        """The adapter class of that name."""
        found: type[Adapter[Any]] = self._the("adapter", name, self.adapters())
        return found

    def exporters(self) -> dict[str, type[Exporter[Any]]]:
        """Name to exporter class."""
        return self._gathered.named("agl_register_exporters")

    def judges(self) -> dict[str, Any]:
        """Name to judge class."""
        return self._gathered.named("agl_register_judges")

    def judge(self, name: str) -> Any:
        """The judge class of that name."""
        return self._the("judge", name, self.judges())

    def reactions(self) -> dict[str, Any]:
        """Name to reaction class."""
        return self._gathered.named("agl_register_reactions")

    def reaction(self, name: str) -> Any:
        """The reaction class of that name."""
        return self._the("reaction", name, self.reactions())

    def dialects(self) -> tuple[SpanDialect, ...]:
        """Those of plugins, A to Z, then the core's: what `agl_core.spans.meaning` asks."""
        return self._gathered.dialects()

    def codec(self, failed: Callable[[PluginFailed], None] | None = None) -> Codec:
        """A codec that knows the events of the core and of every plugin. A plugin whose events cannot be had is
        `PluginBroken`; `failed` is told of it instead, and its facts are `Unknown`."""  # noqa: D205, D209 - two
        # Imported here: `agl --help` loads plugins, and reads no log.
        from agl_core.codec import Codec

        return Codec(self._gathered.vocabulary(failed))

    def commands(self, failed: Callable[[PluginFailed], None]) -> dict[str, click.Command]:
        """Name to command. A plugin that raises adds none; of two commands of one name the first stays."""
        return self._gathered.commands(failed)

    def owners(self, hook: str, failed: Callable[[PluginFailed], None]) -> dict[str, str]:
        """What plugins registered there, by whom: for looking at them, so a broken one is told of and left out."""
        return self._gathered.owners(hook, failed)

    def asked(self, hook: str) -> list[str]:
        """The plugins that implement the hook, in the order of asking."""
        return [impl.plugin_name for impl in self._asking.each(hook)]

    def tracing(
        self, recorder: Recorder, failed: Callable[[PluginFailed], None] | None = None
    ) -> AbstractContextManager[None]:
        """Every tracer in place. The first that cannot attach is `TracerFailed`; `failed` is told of it instead."""
        return tracing(self._asking, recorder, failed)

    def _the(self, kind: str, name: str, known: Mapping[str, Any]) -> Any:
        if name in known:
            return known[name]
        error = UnknownName(kind, name, known=known, cure=f"Is its plugin installed (agl-{name}?): `agl plugins` tells")
        for one in (*self.loaded, *self.disabled):
            if one.name == name and (why := one.error or one.disabled_by):
                error.add_note(f"plugin {name!r} is {one.status}: {why}")
        raise error

    # --- first answer wins

    def open_log(self, url: str, *, readonly: bool = False) -> SqliteLog:
        """The log at `url`, with the events, projections and redaction of all plugins.

        For reading, a plugin whose events cannot be had is warned of: its facts are `Unknown`.
        """

        def unread(event: PluginFailed) -> None:
            _log.warning("the facts of plugin %r are read as they lie: %s", event.name, event.why)

        codec = self.codec(unread if readonly else None)
        log = self._first("agl_open_log", url=url, readonly=readonly, codec=codec, redact=self.redact)
        if log is None:
            raise LogUnsupported(url, why="no plugin knows that kind of address", cure="Use a path, or sqlite:///path")
        opened: SqliteLog = log
        return opened

    def open_engine(self, url: str, name: str) -> Engine:
        """An engine for `url`, not started."""
        engine = self._first("agl_open_engine", url=url, name=name)
        if engine is None:
            kind = url.partition(":")[0]
            raise EngineFailed(
                url, why=f"no plugin opens {kind!r} models: is agl-{kind} installed? `agl plugins` tells"
            )
        opened: Engine = engine
        return opened

    def open_executor(self, name: str, config: Mapping[str, Any]) -> Any:
        """The executor of that name."""
        executor = self._first("agl_open_executor", name=name, config=config)
        if executor is None:
            raise UnknownName("executor", name, known=["inprocess"])
        return executor

    def _first(self, hook: str, **arguments: Any) -> Any:
        answers = (self._asking.ask(hook, impl, arguments) for impl in self._asking.each(hook))
        return next((answer for answer in answers if answer is not None), None)

    # --- transform

    def redact(self, draft: Draft) -> Draft:
        """The draft without what must not be kept. What cannot be redacted is not kept at all: it raises."""
        for impl in self._asking.each("agl_redact"):
            answer = self._asking.ask("agl_redact", impl, {"draft": draft})
            if answer is not None and not isinstance(answer, Draft):
                why = f"agl_redact answered with {type(answer).__name__}, and a draft or None was asked for"
                raise PluginBroken(impl.plugin_name, why=why, hook="agl_redact")
            draft = answer or draft
        return draft

    # --- notify

    def notify(self, hook: str, failed: Callable[[PluginFailed], None], **arguments: Any) -> list[Any]:
        """Tell every guest; one that raises is reported to `failed`, and after three times asked no more."""
        answers = []
        for impl in self._asking.each(hook):
            if self._failures.get(impl.plugin_name, 0) >= _PATIENCE:
                continue
            try:
                answers.append(self._asking.raw(hook, impl, arguments))
            except GUILTY as error:  # a guest: what it raises becomes an event
                failed(PluginFailed(name=impl.plugin_name, hook=hook, why=told(error) + self._count(impl.plugin_name)))
        return answers

    async def tell(
        self,
        hook: str,
        failed: Callable[[PluginFailed], None],
        arguments: Mapping[str, Any],
        heard: Callable[[Any], None],
    ) -> None:
        """`notify`, each guest awaited and its answer heard before the next one is handed `arguments`."""
        for impl in self._asking.each(hook):
            if self._failures.get(impl.plugin_name, 0) >= _PATIENCE:
                continue
            try:
                answer = self._asking.raw(hook, impl, arguments)
                heard(await answer if inspect.isawaitable(answer) else answer)
            except GUILTY as error:  # a guest: what it raises becomes an event
                failed(PluginFailed(name=impl.plugin_name, hook=hook, why=told(error) + self._count(impl.plugin_name)))

    def _count(self, name: str) -> str:
        self._failures[name] = self._failures.get(name, 0) + 1
        if self._failures[name] < _PATIENCE:
            return ""
        _log.warning("plugin %r raised %d times and is told nothing more", name, _PATIENCE)
        return f" ({_PATIENCE} failures: it is told nothing more)"

    def follow(self, log: SqliteLog) -> Callable[[], None]:
        """Tell `agl_recorded` of what this process commits, until the returned function is called."""
        if not self._asking.each("agl_recorded"):
            return lambda: None

        def failed(event: PluginFailed) -> None:
            log.submit([Draft(stream="log", event=event)])

        def heard(records: Iterable[Record]) -> None:
            for record in records:
                if not record.event.type.startswith("plugin."):
                    self.notify("agl_recorded", failed, record=record)

        return log.subscribe(heard)
