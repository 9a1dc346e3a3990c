"""Callbacks around rollouts: guests, whose failures are logged and change nothing."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agl_core.events import Event
from agl_core.store import EnqueueRolloutRequest, Rollout, Store, changed

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Hook", "QueueHooks", "call"]

_log = logging.getLogger(__name__)


class Hook:
    """Override what you need, async or not; all are awaited, in order, and what they raise never reaches the agent.

    The first four are of the attempt, where it runs. The others are of the rollout, where it is handed out and waited
    for: in the process of the algorithm.
    """

    def listens(self, name: str) -> bool:
        """Whether that one is written."""
        return getattr(type(self), name) is not getattr(Hook, name)

    async def on_rollout_start(self, *, agent: Any, runner: Any, rollout: Any) -> None:
        """Before the agent is entered."""

    async def on_trace_start(self, *, agent: Any, runner: Any, tracer: Any, rollout: Any) -> None:
        """Inside the attempt's context, right before the agent's code."""

    async def on_trace_end(self, *, agent: Any, runner: Any, tracer: Any, rollout: Any) -> None:
        """Inside the attempt's context, right after the agent's code, also when it raised."""

    async def on_rollout_end(self, *, agent: Any, runner: Any, rollout: Any, spans: Sequence[Any]) -> None:
        """After the result was recorded, before the attempt is settled."""

    async def on_enqueue(self, *, request: EnqueueRolloutRequest, store: Store) -> EnqueueRolloutRequest | None:
        """Before a task is handed out: the request with other input, config, metadata or resources; None leaves it.

        Asked once: what it gave is recorded, and a run that is resumed gets that.
        """

    async def on_succeeded(self, *, rollout: Rollout, events: Mapping[str, Sequence[Event]], store: Store) -> None:
        """A rollout came to a good end; `events` is what each attempt left. `store.add_reward` still counts."""

    async def on_failed(self, *, rollout: Rollout, events: Mapping[str, Sequence[Event]], store: Store) -> None:
        """A rollout failed, and is tried no more."""


async def call(hooks: Sequence[Hook], name: str, **arguments: Any) -> None:
    """Await the hook of every one of `hooks`."""
    for hook in hooks:
        await _answer(hook, name, arguments)


class QueueHooks:
    """What a store tells of hooks; only of those that are written."""

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self._hooks = tuple(hooks)

    def __bool__(self) -> bool:
        return bool(self._of("on_enqueue")) or self.hear_ends

    @property
    def hear_ends(self) -> bool:
        """Whether anybody wants to be told of them."""
        return bool(self._of("on_succeeded") or self._of("on_failed"))

    async def enqueuing(self, request: EnqueueRolloutRequest, store: Store) -> EnqueueRolloutRequest:
        """The request, as one after the other makes it."""
        for hook in self._of("on_enqueue"):
            request = await _answer(hook, "on_enqueue", {"request": request, "store": store}) or request
        return request

    async def settled(self, rollout: Rollout, events: Mapping[str, Sequence[Event]], store: Store) -> None:
        """`on_succeeded`, or `on_failed`."""
        name = "on_succeeded" if rollout.status == "succeeded" else "on_failed"
        await call(self._of(name), name, rollout=rollout, events=events, store=store)

    def _of(self, name: str) -> Sequence[Hook]:
        return [hook for hook in self._hooks if hook.listens(name)]


async def _answer(hook: Hook, name: str, arguments: Mapping[str, Any]) -> Any:
    """What it answers; None when it raises, or answers what cannot be."""
    try:
        answer = getattr(hook, name)(**arguments)
        if inspect.isawaitable(answer):
            answer = await answer
        return changed(arguments["request"], answer) if name == "on_enqueue" and answer is not None else answer
    except Exception:  # noqa: BLE001 - a guest; it is told with its traceback
        _log.exception("hook %s.%s raised; the rollout goes on", type(hook).__name__, name)
        return None
