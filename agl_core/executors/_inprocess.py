"""Workers as tasks of one event loop, in a thread of its own: an agent that blocks it harms only other agents."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from agl_core.executors._protocol import Work

__all__ = ["InProcess"]


class InProcess:
    """`n_runners` agents at once in this process; synchronous ones get a thread each."""

    def __init__(self, n_runners: int = 1) -> None:
        self.n_runners = n_runners
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self, work: Work, worker_ids: list[str]) -> None:
        """Set all workers going."""
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop, ready), name="agl-runners", daemon=True)
        self._thread.start()
        await asyncio.to_thread(ready.wait)
        await self._there(self._begin(work, worker_ids))

    async def stop(self) -> None:
        """Stop all workers."""
        if self._loop is None or self._thread is None:
            return
        await self._there(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()
        self._loop = self._thread = None

    def failure(self) -> BaseException | None:
        """What a worker died of, if one did."""
        ended = (task for task in self._tasks if task.done() and not task.cancelled())
        return next((error for task in ended if (error := task.exception())), None)

    async def _begin(self, work: Work, worker_ids: list[str]) -> None:
        self._tasks = [asyncio.ensure_future(_worker(work, name)) for name in worker_ids]

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()

    async def _there(self, coroutine: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        # Shielded: who is cancelled here must not leave half a start, or half a stop, over there.
        await asyncio.shield(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop)))

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        loop.call_soon(ready.set)
        loop.run_forever()


async def _worker(work: Work, worker_id: str) -> None:
    await work(worker_id)
