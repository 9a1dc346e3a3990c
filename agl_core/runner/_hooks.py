"""Callbacks around an attempt: guests, whose failures are logged and change nothing."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import Any

__all__ = ["Hook", "call"]

_log = logging.getLogger(__name__)


class Hook:
    """Override what you need; all four are awaited, in order, and what they raise never reaches the agent."""

    async def on_rollout_start(self, *, agent: Any, runner: Any, rollout: Any) -> None:
        """Before the agent is entered."""

    async def on_trace_start(self, *, agent: Any, runner: Any, tracer: Any, rollout: Any) -> None:
        """Inside the attempt's context, right before the agent's code."""

    async def on_trace_end(self, *, agent: Any, runner: Any, tracer: Any, rollout: Any) -> None:
        """Inside the attempt's context, right after the agent's code, also when it raised."""

    async def on_rollout_end(self, *, agent: Any, runner: Any, rollout: Any, spans: Sequence[Any]) -> None:
        """After the result was recorded, before the attempt is settled."""


async def call(hooks: Sequence[Hook], name: str, **arguments: Any) -> None:
    """Await the hook of every one of `hooks`."""
    for hook in hooks:
        try:
            answer = getattr(hook, name)(**arguments)
            if inspect.isawaitable(answer):
                await answer
        except Exception:  # noqa: BLE001 - a guest; it is told with its traceback
            _log.exception("hook %s.%s raised; the rollout goes on", type(hook).__name__, name)
