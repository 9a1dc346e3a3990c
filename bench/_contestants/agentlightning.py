"""Agent Lightning 0.3.0, in its own environment: its store in memory or behind its own HTTP server, and its adapter."""

from __future__ import annotations

import asyncio
import gc
import socket
from functools import cache
from math import ceil
from statistics import median
from time import perf_counter, process_time
from typing import Any

from agentlightning.adapter import TracerTraceToTriplet
from agentlightning.store.client_server import LightningStoreClient, LightningStoreServer
from agentlightning.store.memory import InMemoryLightningStore
from agentlightning.types import EnqueueRolloutRequest, Span

from bench._contestants._serve import megabytes, serve
from bench._nested import rewarded, steps
from bench._scenario import Scenario, algorithm, run, runners
from bench._workload import calls

IDLE = 0.05
"""Seconds until a runner without work asks again; its own default is five."""
TASK = {"question": "A baker has six trays of seven rolls. How many rolls?"}


class Stores:
    """Stores that stay from round to round, by what is in them, and a server that others ask."""

    def __init__(self) -> None:
        self._queued: dict[int, InMemoryLightningStore] = {}
        self._running: dict[int, InMemoryLightningStore] = {}
        self._loop = asyncio.new_event_loop()
        self._server: LightningStoreServer | None = None

    def serve(self) -> str:
        """Begin to serve a new store over HTTP; its address."""
        if self._server is not None:
            self._loop.run_until_complete(self._server.stop())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._server = LightningStoreServer(InMemoryLightningStore(thread_safe=True), host="127.0.0.1", port=port)
        self._loop.run_until_complete(self._server.start())
        return f"http://127.0.0.1:{port}"

    def append(self, count: int, batch: int, event: str) -> dict[str, float]:
        """`add_span`, or `add_many_spans` of a batch; nothing becomes durable."""
        return {"events/s": count / self._loop.run_until_complete(_append(count, batch, event))}

    def cycle(self, count: int, at_once: int, url: str | None = None) -> dict[str, float]:
        """Enqueue, claim, finish, by so many at a time."""
        return {"cycles/s": count / self._loop.run_until_complete(_cycle(count, at_once, url))}

    def claim(self, queued: int, count: int) -> dict[str, float]:
        """One claim after the other; what was taken is finished and put back afterwards, untimed."""
        return {"us": self._loop.run_until_complete(_claim(self._with_queued(queued), count)) * 1e6}

    def list(self, queued: int, count: int) -> dict[str, float]:
        """The first hundred that wait."""
        return {"ms": self._loop.run_until_complete(_list(self._with_queued(queued), count)) * 1e3}

    def watchdog(self, running: int) -> dict[str, float]:
        """A look for attempts that are overdue, which it does inside a call of its API."""
        return {"ms": self._loop.run_until_complete(_watch(self._with_running(running))) * 1e3}

    def wait(self, pending: int, timeout: float, count: int) -> dict[str, float]:
        """For rollouts of which none ends."""
        return {"ms": self._loop.run_until_complete(_wait(self._with_queued(pending), timeout, count)) * 1e3}

    def scenario(self, spec: dict[str, Any]) -> dict[str, float]:
        """Algorithm and runners in this process, over a store in its memory."""
        return self._loop.run_until_complete(run(Board(InMemoryLightningStore()), Scenario(**spec)))

    def algorithm(self, spec: dict[str, Any]) -> dict[str, float]:
        """The algorithm alone, over the store that is served to runners."""
        assert self._server is not None
        return self._loop.run_until_complete(algorithm(Board(self._server), Scenario(**spec)))

    def runners(self, spec: dict[str, Any], url: str) -> int:
        """The runners alone, over HTTP."""
        return self._loop.run_until_complete(_runners(Scenario(**spec), url))

    def grow(self, count: int) -> dict[str, float]:
        """Resident memory that so many spans take, for a hundred thousand of them."""
        return {"MB/100k events": self._loop.run_until_complete(_grow(count)) * 100_000 / count}

    def _with_queued(self, count: int) -> InMemoryLightningStore:
        if count not in self._queued:
            self._queued[count] = InMemoryLightningStore()
            self._loop.run_until_complete(_enqueue(self._queued[count], count))
        return self._queued[count]

    def _with_running(self, count: int) -> InMemoryLightningStore:
        if count not in self._running:
            self._running[count] = InMemoryLightningStore()
            self._loop.run_until_complete(_enqueue(self._running[count], count))
            self._loop.run_until_complete(_take(self._running[count], count))
            # What its constructor would set; from the beginning, each claim would look at all before it.
            self._running[count]._scan_debounce_seconds = 0.0  # noqa: SLF001
        return self._running[count]


class Board:
    """Its store, for the scenarios. Numbers of spans are its runners' own, so that none has to be asked for."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def enqueue(self, tasks: list[int]) -> list[str]:
        """One call for all."""
        requests = [EnqueueRolloutRequest(input=task) for task in tasks]
        return [rollout.rollout_id for rollout in await self._store.enqueue_many_rollouts(requests)]

    async def claim(self, worker: str) -> tuple[int, Any] | None:
        """It has no way to wait for one."""
        rollout = await self._store.dequeue_rollout(worker)
        if rollout is None:
            await asyncio.sleep(IDLE)
            return None
        return rollout.input, rollout

    async def span(self, claim: Any, number: int, attributes: dict[str, Any]) -> None:
        """One call each, as its tracer makes them."""
        await self._store.add_span(_span(claim, number, "work", attributes))

    async def reward(self, claim: Any, number: int, value: float) -> None:
        """A span of its kind for rewards."""
        attributes = {"agentlightning.reward.0.name": "primary", "agentlightning.reward.0.value": value}
        await self._store.add_span(_span(claim, number, "agentlightning.annotation", attributes))

    async def finish(self, claim: Any) -> None:
        """The attempt, and with it the rollout."""
        await self._store.update_attempt(claim.rollout_id, claim.attempt.attempt_id, status="succeeded")

    async def finished(self, ids: list[str]) -> set[str]:
        """By status: its own wait takes a thread an id."""
        wanted = set(ids)
        return {one.rollout_id for one in await self._store.query_rollouts(status_in=["succeeded"])} & wanted

    async def trace(self, rollout_id: str) -> tuple[list[dict[str, Any]], list[float]]:
        """In the order of their numbers."""
        found = [span.attributes for span in await self._store.query_spans(rollout_id)]
        name = "agentlightning.reward.0.value"
        return found, [attributes[name] for attributes in found if name in attributes]


def triplets(counts: list[int], least: int) -> dict[str, float]:
    """A nested trace, again and again, each time from its spans."""
    seconds = {count: _adapted(count, times=ceil(least / count)) / count for count in counts}
    rates = {f"spans/s of {count}": 1 / each for count, each in seconds.items()}
    return {**rates, "growth": seconds[counts[-1]] / seconds[100]}


def _adapted(count: int, *, times: int) -> float:
    spans, wanted = _nested(count)
    adapter = TracerTraceToTriplet()
    gc.collect()
    gc.disable()  # as for ours
    before = process_time()
    for _ in range(times):
        found = adapter.adapt(spans)
        assert sum(triplet.reward is not None for triplet in found) == wanted
    seconds = process_time() - before
    gc.enable()
    return seconds / times


@cache
def _nested(count: int) -> tuple[list[Span], int]:
    found = steps(count)
    spans = [
        Span.from_attributes(
            attributes=step.attributes, rollout_id="ro-1", attempt_id="at-1", sequence_id=number + 1, name=step.name,
            trace_id=f"{1:032x}", span_id=step.id, parent_id=step.parent,
            start_time=float(step.began), end_time=float(step.ended),
        )
        for number, step in enumerate(found)
    ]  # fmt: skip
    return spans, rewarded(found)


async def _enqueue(store: Any, count: int) -> None:
    for start in range(0, count, 1000):
        await store.enqueue_many_rollouts([EnqueueRolloutRequest(input=TASK)] * min(1000, count - start))


async def _take(store: Any, count: int) -> None:
    for _ in range(count):
        assert await store.dequeue_rollout("worker")


async def _append(count: int, batch: int, event: str) -> float:
    store = InMemoryLightningStore()
    await store.enqueue_rollout(TASK)
    spans = _spans(range(count), event, await store.dequeue_rollout("worker"))
    before = perf_counter()
    await _add(store, spans, batch)
    return perf_counter() - before


async def _add(store: InMemoryLightningStore, spans: list[Span], batch: int) -> None:
    if batch == 1:
        for span in spans:
            await store.add_span(span)
    else:
        for start in range(0, len(spans), batch):
            await store.add_many_spans(spans[start : start + batch])


def _spans(numbers: range, event: str, rollout: Any) -> list[Span]:
    made = ({"text": f"note {number}"} for number in numbers)
    attributes = made if event == "tiny" else (call.attributes() for call in calls(len(numbers), seed=numbers.start))
    return [_span(rollout, number + 1, "chat", each) for number, each in zip(numbers, attributes, strict=True)]


def _span(rollout: Any, number: int, name: str, attributes: dict[str, Any]) -> Span:
    return Span.from_attributes(
        attributes=attributes,
        rollout_id=rollout.rollout_id,
        attempt_id=rollout.attempt.attempt_id,
        sequence_id=number,
        name=name,
        trace_id=f"{1:032x}",
        span_id=f"{number:016x}",
        start_time=1.0,
        end_time=1.25,
    )


async def _cycle(count: int, at_once: int, url: str | None) -> float:
    store: Any = LightningStoreClient(url) if url else InMemoryLightningStore()

    async def work(worker: str) -> None:
        for _ in range(count // at_once):
            await store.enqueue_rollout(TASK)
            taken = await store.dequeue_rollout(worker)
            await store.update_attempt(taken.rollout_id, taken.attempt.attempt_id, status="succeeded")

    before = perf_counter()
    await asyncio.gather(*(work(f"worker-{number}") for number in range(at_once)))
    seconds = perf_counter() - before
    if url:
        await store.close()
    return seconds


async def _runners(scenario: Scenario, url: str) -> int:
    client = LightningStoreClient(url)
    try:
        return await runners(Board(client), scenario)
    finally:
        await client.close()


async def _claim(store: InMemoryLightningStore, count: int) -> float:
    taken, seconds = [], []
    for _ in range(count):
        before = perf_counter()
        taken.append(await store.dequeue_rollout("worker"))
        seconds.append(perf_counter() - before)
    for rollout in taken:
        assert rollout is not None
        await store.update_attempt(rollout.rollout_id, rollout.attempt.attempt_id, status="succeeded")
    await _enqueue(store, count)
    return median(seconds)


async def _list(store: InMemoryLightningStore, count: int) -> float:
    seconds = []
    for _ in range(count):
        before = perf_counter()
        found = await store.query_rollouts(status_in=["queuing"], limit=100)
        seconds.append(perf_counter() - before)
        assert len(found) == 100
    return median(seconds)


async def _watch(store: InMemoryLightningStore) -> float:
    before = perf_counter()
    await store.get_rollout_by_id("ro-none")
    return perf_counter() - before


async def _wait(store: InMemoryLightningStore, timeout: float, count: int) -> float:
    ids = [rollout.rollout_id for rollout in await store.query_rollouts()]
    seconds = []
    for _ in range(count):
        before = perf_counter()
        assert await store.wait_for_rollouts(rollout_ids=ids, timeout=timeout) == []
        seconds.append(perf_counter() - before)
    return median(seconds)


async def _grow(count: int) -> float:
    store = InMemoryLightningStore()
    await store.enqueue_rollout(TASK)
    rollout = await store.dequeue_rollout("worker")
    await _add(store, _spans(range(500), "call", rollout), 100)
    gc.collect()
    before = megabytes()
    for start in range(500, 500 + count, 100):
        await _add(store, _spans(range(start, start + 100), "call", rollout), 100)
    gc.collect()
    return megabytes() - before


if __name__ == "__main__":
    stores = Stores()
    serve(
        {
            "algorithm": stores.algorithm,
            "append": stores.append,
            "claim": stores.claim,
            "cycle": stores.cycle,
            "grow": stores.grow,
            "list": stores.list,
            "runners": stores.runners,
            "scenario": stores.scenario,
            "serve": stores.serve,
            "triplets": triplets,
            "wait": stores.wait,
            "watchdog": stores.watchdog,
        }
    )
