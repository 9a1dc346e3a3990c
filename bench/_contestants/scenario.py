"""Our store in the scenarios: in one process, or with the algorithm and the runners in a process each."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agl_core import EnqueueRolloutRequest, Store
from agl_core.events import SpanRecorded
from bench._contestants._logs import open_log
from bench._contestants._serve import serve
from bench._contestants._stores import fresh_store
from bench._scenario import Scenario, algorithm, run, runners

_PATIENCE = 5.0
"""Seconds a runner waits for work; it is woken when there is some."""


class Board:
    """Our store, for the scenarios."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def enqueue(self, tasks: list[int]) -> list[str]:
        """One transaction for all."""
        return await self._store.enqueue([EnqueueRolloutRequest(input=task) for task in tasks])

    async def claim(self, worker: str) -> tuple[int, Any] | None:
        """Waits until there is one."""
        rollout = await self._store.dequeue_rollout(worker, timeout=_PATIENCE)
        return (rollout.input, rollout) if rollout else None

    async def span(self, claim: Any, number: int, attributes: dict[str, Any]) -> None:
        """One durable append each."""
        await self._store.add_span(
            SpanRecorded(
                rollout_id=claim.rollout_id,
                attempt_id=claim.attempt_id,
                span_id=f"{number:016x}",
                trace_id=f"{1:032x}",
                name="work",
                attributes=attributes,
                started_at=1_000_000_000,
                ended_at=1_250_000_000,
            )
        )

    async def reward(self, claim: Any, number: int, value: float) -> None:
        """Of the attempt."""
        await self._store.add_reward(claim.rollout_id, value, attempt_id=claim.attempt_id)

    async def finish(self, claim: Any) -> None:
        """The attempt, and with it the rollout."""
        await self._store.finish_attempt(claim.attempt, "completed")

    async def finished(self, ids: list[str]) -> set[str]:
        """One read."""
        return self._store.ask.finished(ids)

    async def trace(self, rollout_id: str) -> tuple[list[dict[str, Any]], list[float]]:
        """In the order they were kept."""
        (trace,) = self._store.ask.traces([rollout_id])
        return [dict(span.attributes) for span in trace.spans], [reward.given.value for reward in trace.rewards]


def one_process(spec: dict[str, Any]) -> dict[str, float]:
    """Algorithm and runners in this process, over a log on disk."""
    with fresh_store() as store:
        return asyncio.run(run(Board(store), Scenario(**spec)))


def make(path: str) -> None:
    """An empty log: what is measured begins with a file that is there."""
    open_log(Path(path)).close()


def algorithm_alone(spec: dict[str, Any], path: str) -> dict[str, float]:
    """The algorithm; the runners are elsewhere, at the same file."""
    log = open_log(Path(path))
    store = Store(log)
    found = asyncio.run(algorithm(Board(store), Scenario(**spec)))
    store.close()
    log.close()
    return found


def runners_alone(spec: dict[str, Any], path: str) -> int:
    """The runners; the algorithm is elsewhere."""
    log = open_log(Path(path))
    store = Store(log)
    made = asyncio.run(runners(Board(store), Scenario(**spec)))
    store.close()
    log.close()
    return made


if __name__ == "__main__":
    serve({"algorithm": algorithm_alone, "make": make, "runners": runners_alone, "scenario": one_process})
