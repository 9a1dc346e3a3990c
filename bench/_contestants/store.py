"""Our store: cycles, claims, lists, waits, and the watch over leases."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import perf_counter, sleep

from agl_core import Store
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog
from agl_core.record import Draft
from bench._contestants._logs import open_log
from bench._contestants._serve import serve
from bench._contestants._stores import TASK, claim, enqueue, fresh_store


class Stores:
    """Stores that stay open from round to round, by what is in them."""

    def __init__(self, closing: ExitStack) -> None:
        self._closing = closing
        self._queued: dict[int, Store] = {}
        self._running: dict[int, Store] = {}

    def queued(self, count: int) -> Store:
        """With so many rollouts in the queue."""
        if count not in self._queued:
            self._queued[count] = self._closing.enter_context(fresh_store())
            asyncio.run(enqueue(self._queued[count], count))
        return self._queued[count]

    def running(self, count: int) -> Store:
        """With so many attempts under way, all held by this process."""
        if count not in self._running:
            self._running[count] = self._closing.enter_context(fresh_store())
            asyncio.run(enqueue(self._running[count], count))
            asyncio.run(claim(self._running[count], count))
        return self._running[count]

    def claim(self, queued: int, count: int) -> dict[str, float]:
        """One claim after the other; what was taken is finished and put back afterwards, untimed."""
        return {"us": asyncio.run(_claim(self.queued(queued), count)) * 1e6}

    def list(self, queued: int, count: int) -> dict[str, float]:
        """The first hundred that wait."""
        return {"ms": asyncio.run(_list(self.queued(queued), count)) * 1e3}

    def reopen(self, running: int) -> dict[str, float]:
        """A second store over the same file: it looks for what dead processes left among the leases."""
        log = open_log(self.running(running).log.path)
        before = perf_counter()
        Store(log).close()
        seconds = perf_counter() - before
        log.close()
        return {"ms": seconds * 1e3}

    def stall(self, running: int, seconds: float) -> dict[str, float]:
        """The longest that an append took while the store kept its leases for so many seconds."""
        return {"ms": _longest_append(self.running(running).log.path, seconds) * 1e3}

    def wait(self, pending: int, timeout: float, count: int) -> dict[str, float]:
        """For rollouts of which none ends."""
        return {"ms": asyncio.run(_wait(self.queued(pending), timeout, count)) * 1e3}


def cycle(count: int, at_once: int, durability: str) -> dict[str, float]:
    """Enqueue, claim, finish: each acknowledged before the next, by so many at a time."""
    with fresh_store(durability) as store:
        before = perf_counter()
        asyncio.run(cycles(store, count, at_once))
        return {"cycles/s": count / (perf_counter() - before)}


async def cycles(store: Store, count: int, at_once: int) -> None:
    """So many in all."""

    async def work(worker: str) -> None:
        for _ in range(count // at_once):
            await store.enqueue_rollout(TASK)
            taken = await store.dequeue_rollout(worker)
            assert taken is not None
            await store.finish_attempt(taken.attempt, "completed")

    await asyncio.gather(*(work(f"worker-{number}") for number in range(at_once)))


async def _claim(store: Store, count: int) -> float:
    taken, seconds = [], []
    for _ in range(count):
        before = perf_counter()
        taken.append(await store.dequeue_rollout("worker"))
        seconds.append(perf_counter() - before)
    for rollout in taken:
        assert rollout is not None
        await store.finish_attempt(rollout.attempt, "completed")
    await enqueue(store, count)
    return median(seconds)


async def _list(store: Store, count: int) -> float:
    seconds = []
    for _ in range(count):
        before = perf_counter()
        found = await store.query_rollouts(status_in=["queuing"], limit=100)
        seconds.append(perf_counter() - before)
        assert len(found) == 100
    return median(seconds)


async def _wait(store: Store, timeout: float, count: int) -> float:
    ids = [rollout_id for (rollout_id,) in store.log.rows("select rollout_id from rollouts")]
    seconds = []
    for _ in range(count):
        before = perf_counter()
        assert await store.wait_for_rollouts(rollout_ids=ids, timeout=timeout) == []
        seconds.append(perf_counter() - before)
    return median(seconds)


def _longest_append(path: Path, seconds: float) -> float:
    log = open_log(path)
    longest, stop = [0.0], Event()
    appending = Thread(target=_append_until, args=(log, stop, longest))
    appending.start()
    sleep(seconds)
    stop.set()
    appending.join()
    log.close()
    return longest[0]


def _append_until(log: SqliteLog, stop: Event, longest: list[float]) -> None:
    while not stop.wait(0.002):
        before = perf_counter()
        log.append([Draft(stream="run/rn-bench", event=NoteTaken(text="still there"))])
        longest[0] = max(longest[0], perf_counter() - before)


if __name__ == "__main__":
    with ExitStack() as closing:
        stores = Stores(closing)
        serve(
            {
                "cycle": cycle,
                "claim": stores.claim,
                "list": stores.list,
                "reopen": stores.reopen,
                "stall": stores.stall,
                "wait": stores.wait,
            }
        )
