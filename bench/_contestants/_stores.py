"""Stores to measure with, filled as fast as the store lets itself be filled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from agl_core import EnqueueRolloutRequest, Store
from bench._contestants._logs import fresh

__all__ = ["claim", "enqueue", "fresh_store"]

TASK = {"question": "A baker has six trays of seven rolls. How many rolls?"}
_AT_ONCE = 5000
_WORKERS = 64


@contextmanager
def fresh_store(durability: str = "normal") -> Iterator[Store]:
    """A store over a log on disk that is gone afterwards."""
    with fresh(durability) as log:
        store = Store(log)
        try:
            yield store
        finally:
            store.close()


async def enqueue(store: Store, count: int) -> list[str]:
    """Put so many tasks into the queue; their rollouts' ids."""
    ids: list[str] = []
    while len(ids) < count:
        some = min(_AT_ONCE, count - len(ids))
        ids += await store.enqueue([EnqueueRolloutRequest(input=TASK)] * some)
    return ids


async def claim(store: Store, count: int) -> None:
    """Let workers take so many, and keep them."""

    async def take(number: int) -> None:
        for _ in range(count // _WORKERS + (number < count % _WORKERS)):
            assert await store.dequeue_rollout(f"worker-{number}", timeout=None)

    await asyncio.gather(*(take(number) for number in range(_WORKERS)))
