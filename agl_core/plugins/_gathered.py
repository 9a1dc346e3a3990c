"""What plugins registered: each name once, and what is wrong with one said in its name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agl_core.errors import AglError, PluginBroken
from agl_core.events import CORE_EVENTS, CORE_UPCASTS, Event, PluginFailed, SpanRecorded, Upcast, Vocabulary
from agl_core.plugins._asking import GUILTY, Asking, told
from agl_core.plugins._found import BUILTIN
from agl_core.spans import SpanDialect, SpanMeaning

if TYPE_CHECKING:
    import click

__all__ = ["Gathered"]

Failed = Callable[[PluginFailed], None]
_log = logging.getLogger(__name__)


class Gathered:
    """Asks every plugin, A to Z. What one does wrong is `PluginBroken`, or told to `failed` where that is given."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def named(self, hook: str) -> dict[str, Any]:
        """What they bring under names, of which each is unique."""
        return {name: thing for name, (_, thing) in self._owned(hook, None).items()}

    def owners(self, hook: str, failed: Failed) -> dict[str, str]:
        """Name to plugin."""
        if hook == "agl_register_dialects":
            return {dialect.NAME: plugin for plugin, dialects in self._dialects(failed) for dialect in dialects}
        owned = self._commands(failed) if hook == "agl_register_commands" else self._owned(hook, failed)
        return {name: owner for name, (owner, _) in owned.items()}

    def vocabulary(self, failed: Failed | None = None) -> Vocabulary:
        """Events and upcasts of the core and of plugins. Of a plugin all are taken, or none."""
        events, upcasts = list(CORE_EVENTS), list(CORE_UPCASTS)
        known = Vocabulary(events, upcasts)
        hook = "agl_register_events"
        for plugin, answer in self._answers(hook, failed):
            try:
                things = list(answer)
                more = [thing for thing in things if isinstance(thing, type) and issubclass(thing, Event)]
                rungs = [thing for thing in things if isinstance(thing, Upcast)]
                if strange := [thing for thing in things if thing not in more and thing not in rungs]:
                    raise PluginBroken(
                        plugin, why=f"{hook}: {strange[0]!r} is neither an event nor an upcast", hook=hook
                    )
                known = Vocabulary([*events, *more], [*upcasts, *rungs])
            except GUILTY as error:
                _give_up(plugin, hook, error, failed)
            else:
                events, upcasts = [*events, *more], [*upcasts, *rungs]
        return known

    def dialects(self) -> tuple[SpanDialect, ...]:
        """Of guests first: the core's last one knows almost every span a little."""
        owned = [(plugin, dialect) for plugin, dialects in self._dialects(None) for dialect in dialects]
        guests = [_Guest(plugin, dialect) for plugin, dialect in owned if plugin != BUILTIN]
        return (*guests, *(dialect for plugin, dialect in owned if plugin == BUILTIN))

    def commands(self, failed: Failed) -> dict[str, click.Command]:
        """Name to command."""
        return {name: command for name, (_, command) in self._commands(failed).items()}

    def _commands(self, failed: Failed) -> dict[str, tuple[str, click.Command]]:
        """Each plugin is handed a group of its own, so that one that raises leaves nothing behind."""
        import click

        found: dict[str, tuple[str, click.Command]] = {}
        hook = "agl_register_commands"
        for impl in self._asking.each(hook):
            group = click.Group()
            try:
                self._asking.ask(hook, impl, {"cli": group})
            except AglError as error:
                _give_up(impl.plugin_name, hook, error, failed)
                continue
            for name, command in group.commands.items():
                owner, _ = found.setdefault(name, (impl.plugin_name, command))
                if owner != impl.plugin_name:
                    why = f"its {name!r} is left out: plugin {owner!r} has a command of that name"
                    failed(PluginFailed(name=impl.plugin_name, hook=hook, why=why))
        return found

    def _owned(self, hook: str, failed: Failed | None) -> dict[str, tuple[str, Any]]:
        found: dict[str, tuple[str, Any]] = {}
        for plugin, answer in self._answers(hook, failed):
            try:
                if not isinstance(answer, Mapping):
                    raise PluginBroken(plugin, why=f"{hook} answered with no mapping of names: {answer!r}", hook=hook)
                for name, thing in answer.items():
                    if not callable(thing):
                        why = f"{hook}: {name!r} is {thing!r}, of which nothing can be made"
                        raise PluginBroken(plugin, why=why, hook=hook)
                    if name in found:
                        why = f"{hook}: the name {name!r} is taken by plugin {found[name][0]!r}"
                        raise PluginBroken(plugin, why=why, hook=hook)
            except PluginBroken as error:
                _give_up(plugin, hook, error, failed)
            else:
                found |= {name: (plugin, thing) for name, thing in answer.items()}
        return found

    def _dialects(self, failed: Failed | None) -> Iterator[tuple[str, list[SpanDialect]]]:
        hook = "agl_register_dialects"
        for plugin, answer in self._answers(hook, failed):
            try:
                dialects: list[SpanDialect] = list(answer)
                for dialect in dialects:
                    if not (
                        isinstance(getattr(dialect, "NAME", None), str) and callable(getattr(dialect, "read", None))
                    ):
                        why = f"{hook}: {dialect!r} is no dialect: it has no NAME, or nothing to read with"
                        raise PluginBroken(plugin, why=why, hook=hook)
            except GUILTY as error:
                _give_up(plugin, hook, error, failed)
            else:
                yield plugin, dialects

    def _answers(self, hook: str, failed: Failed | None) -> Iterator[tuple[str, Any]]:
        for impl in self._asking.each(hook):
            try:
                answer = self._asking.ask(hook, impl, {})
            except AglError as error:
                _give_up(impl.plugin_name, hook, error, failed)
            else:
                if answer is not None:
                    yield impl.plugin_name, answer


class _Guest:
    """A plugin's dialect: where it raises, it does not know the span, and the next is asked."""

    def __init__(self, plugin: str, dialect: SpanDialect) -> None:
        self.NAME = dialect.NAME
        self._plugin, self._dialect, self._is_quiet = plugin, dialect, False

    def read(self, span: SpanRecorded) -> SpanMeaning | None:
        """What it says of the span."""
        try:
            return self._dialect.read(span)
        except GUILTY as error:  # a guest: one dialect must not hide what every other says of a span
            if not self._is_quiet:
                _log.warning("dialect %r of plugin %r raised: %s", self.NAME, self._plugin, told(error))
            self._is_quiet = True
            return None


def _give_up(plugin: str, hook: str, error: BaseException, failed: Failed | None) -> None:
    """Without this plugin's part, all of it."""
    if failed is not None:
        cause = error.__cause__ or error
        failed(PluginFailed(name=plugin, hook=hook, why=cause.why if isinstance(cause, PluginBroken) else told(cause)))
        return
    if isinstance(error, PluginBroken):
        raise error
    raise PluginBroken(plugin, why=f"{hook}: {told(error)}", hook=hook) from error
