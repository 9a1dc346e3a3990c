"""The runners of a run: set going when its weights are right, the first of them alone where pre-flight wants it."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from agl_core.agents import LitAgent
from agl_core.errors import NoRunnersLeft
from agl_core.executors import Executor
from agl_core.ids import new_id
from agl_core.preflight import Preflight
from agl_core.recorder import Recorder
from agl_core.runner import Hook, Runner
from agl_core.store import Store

__all__ = ["Runners"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Runners:
    """What they run, for whom, and through which gateway."""

    agent: LitAgent[Any]
    store: Store
    executor: Callable[[], Executor]
    recorder: Recorder
    gateway: str
    hooks: Sequence[Hook]
    runner: Runner[Any] | None
    """To be copied for each worker; a plain one when none was given."""
    max_rollouts: int | None
    """Of each."""
    preflight: Preflight | None
    """What the first rollout has to pass; None when nobody looks at it."""
    died: Future[None] = field(default_factory=Future)
    """Fails when one of them does, when all have had their share, or when pre-flight stops the run."""

    async def start(self, closing: AsyncExitStack) -> None:
        """Set them going, until `closing` ends."""
        executor = self.executor()
        names = [new_id("wk") for _ in range(executor.n_runners)]
        left = set(names)

        async def work(worker_id: str) -> None:
            # A copy for each worker: they must not take each other's name.
            runner = copy.copy(self.runner) if self.runner else Runner(max_rollouts=self.max_rollouts)
            runner.gateway, runner.tracer = self.gateway, self.recorder
            try:
                with runner.run_context(agent=self.agent, store=self.store, hooks=self.hooks, worker_id=worker_id):
                    if await self._may_go(runner, is_first=worker_id == names[0]):
                        await runner.iter()
            except Exception as error:
                _log.exception("runner %s died", worker_id)
                if not self.died.done():
                    self.died.set_exception(error)
                raise
            left.discard(worker_id)
            if not left and not self.died.done():
                self.died.set_exception(NoRunnersLeft(f"all {len(names)} have taken {self.max_rollouts} rollouts"))

        await self.store.join(names)
        closing.push_async_callback(self.store.leave, names, "the run ended")
        starting = asyncio.ensure_future(executor.start(work, names))

        async def stop() -> None:
            # A movement that failed beside the one that starts them ends the run in the middle of that.
            await asyncio.wait([starting])
            await executor.stop()

        closing.push_async_callback(stop)
        await asyncio.shield(starting)

    async def _may_go(self, runner: Runner[Any], *, is_first: bool) -> bool:
        if self.preflight is None:
            return True
        if not is_first:
            await self.preflight.cleared()
            return True
        wrong = await self.preflight.scout(runner)
        if wrong is not None and not self.died.done():
            self.died.set_exception(wrong)
        return wrong is None
