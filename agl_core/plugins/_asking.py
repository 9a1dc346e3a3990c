"""One plugin asked one thing: what it raises says whose fault it is, and `AGL_TRACE_PLUGINS` shows each asking."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import pluggy

from agl_core.errors import AglError, PluginBroken
from agl_core.plugins._found import BUILTIN

__all__ = ["GUILTY", "Asking", "told"]

GUILTY = (Exception, SystemExit)
"""What a guest may raise without ending its host: `sys.exit()` in a plugin ends no run."""


class Asking:
    """Calls implementations of hooks, A to Z."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._shows = os.environ.get("AGL_TRACE_PLUGINS", "") not in {"", "0"}

    def each(self, hook: str) -> list[pluggy.HookImpl]:
        """Who implements the hook, in the order of asking: the core, then plugins A to Z."""
        # pluggy lists them in the order in which it would not call them.
        return list(reversed(getattr(self._manager.hook, hook).get_hookimpls()))

    def ask(self, hook: str, impl: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Any:
        """The answer. What is no error of ours becomes `PluginBroken`; an error of ours says who raised it."""
        try:
            return self.raw(hook, impl, arguments)
        except AglError as error:
            if impl.plugin_name != BUILTIN and not isinstance(error, PluginBroken):
                error.add_note(f"plugin {impl.plugin_name!r} said so, asked by {hook}")
            raise
        except GUILTY as error:
            raise PluginBroken(impl.plugin_name, why=f"{hook} raised {told(error)}", hook=hook) from error

    def raw(self, hook: str, impl: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Any:
        """The answer, or whatever it raises."""
        given = [arguments[name] for name in impl.argnames]
        if not self._shows:
            return impl.function(*given)
        began, outcome = time.perf_counter(), "raised"
        try:
            answer = impl.function(*given)
            outcome = f"-> {type(answer).__name__}"
            return answer
        finally:
            # Names and types only: what is handed to `agl_redact` is what must not be shown.
            took = 1000 * (time.perf_counter() - began)
            self.show(f"{impl.plugin_name}: {hook}({', '.join(impl.argnames)}) {outcome}, {took:.2f} ms")

    def show(self, line: str) -> None:
        """Say it on stderr, where hook calls are shown."""
        if self._shows:
            sys.stderr.write(f"plugin {line}\n")


def told(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
