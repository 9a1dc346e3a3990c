"""The four runner hooks, handed on to plugins that implement them."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from agl_core.events import PluginFailed
from agl_core.plugins import Plugins
from agl_core.runner import Hook

__all__ = ["PluginHooks"]

_log = logging.getLogger(__name__)


class PluginHooks(Hook):
    """Every plugin is told, A to Z; what one returns to be awaited is awaited in that order."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins

    @staticmethod
    def are_wanted(plugins: Plugins) -> bool:
        """Whether any plugin implements one of them."""
        names = ("on_rollout_start", "on_trace_start", "on_trace_end", "on_rollout_end")
        return any(getattr(plugins.hook, name).get_hookimpls() for name in names)

    async def on_rollout_start(self, **arguments: Any) -> None:
        """Before the agent is entered."""
        await self._tell("on_rollout_start", arguments)

    async def on_trace_start(self, **arguments: Any) -> None:
        """Right before the agent's code."""
        await self._tell("on_trace_start", arguments)

    async def on_trace_end(self, **arguments: Any) -> None:
        """Right after the agent's code."""
        await self._tell("on_trace_end", arguments)

    async def on_rollout_end(self, **arguments: Any) -> None:
        """Before the attempt is settled."""
        await self._tell("on_rollout_end", arguments)

    async def _tell(self, hook: str, arguments: dict[str, Any]) -> None:
        def failed(event: PluginFailed) -> None:
            _log.error("plugin %s raised in %s: %s", event.name, hook, event.why)
            arguments["runner"].tracer.note(event)

        for answer in self._plugins.notify(hook, failed, **arguments):
            if inspect.isawaitable(answer):
                await answer
