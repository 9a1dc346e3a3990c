"""The hooks around rollouts, handed on to plugins that implement them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from agl_core.events import PluginFailed
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.record import Draft
from agl_core.runner import Hook
from agl_core.store import changed

__all__ = ["PluginHooks"]

_NAMES = tuple(name for name in vars(Hook) if name.startswith("on_"))
_log = logging.getLogger(__name__)


class PluginHooks(Hook):
    """Every plugin is told, A to Z, each when the one before it is done; what one raises becomes `plugin.failed`."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins

    @staticmethod
    def are_wanted(plugins: Plugins) -> bool:
        """Whether any plugin implements one of them."""
        return any(map(PluginHooks(plugins).listens, _NAMES))

    def listens(self, name: str) -> bool:
        """Whether any plugin implements that one."""
        return bool(getattr(self._plugins.hook, name).get_hookimpls())

    async def on_rollout_start(self, **arguments: Any) -> None:
        """Before the agent is entered."""
        await self._tell("on_rollout_start", arguments, arguments["runner"].store.log)

    async def on_trace_start(self, **arguments: Any) -> None:
        """Right before the agent's code."""
        await self._tell("on_trace_start", arguments, arguments["runner"].store.log)

    async def on_trace_end(self, **arguments: Any) -> None:
        """Right after the agent's code."""
        await self._tell("on_trace_end", arguments, arguments["runner"].store.log)

    async def on_rollout_end(self, **arguments: Any) -> None:
        """Before the attempt is settled."""
        await self._tell("on_rollout_end", arguments, arguments["runner"].store.log)

    async def on_enqueue(self, **arguments: Any) -> Any:
        """Before a task is handed out: each plugin is handed what the one before it made."""

        def heard(answer: Any) -> None:
            if answer is not None:
                arguments["request"] = changed(arguments["request"], answer)

        await self._tell("on_enqueue", arguments, arguments["store"].log, heard)
        return arguments["request"]

    async def on_succeeded(self, **arguments: Any) -> None:
        """After a good end."""
        await self._tell("on_succeeded", arguments, arguments["store"].log)

    async def on_failed(self, **arguments: Any) -> None:
        """After the last attempt failed."""
        await self._tell("on_failed", arguments, arguments["store"].log)

    async def _tell(
        self, hook: str, arguments: dict[str, Any], log: SqliteLog, heard: Callable[[Any], None] = lambda _answer: None
    ) -> None:
        def failed(event: PluginFailed) -> None:
            _log.error("plugin %s raised in %s: %s", event.name, hook, event.why)
            log.submit([Draft(stream="log", event=event)])

        await self._plugins.tell(hook, failed, arguments, heard)
