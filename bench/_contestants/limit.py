"""The bare limits: SQLite and msgspec, told what to do and nothing else."""

from __future__ import annotations

import asyncio
from functools import cache

from agl_core import Store
from agl_core.log import SqliteLog
from bench._contestants._drafts import batches, drafts
from bench._contestants._replaying import Recording, record, replay
from bench._contestants._serve import serve
from bench._contestants.store import cycles


def append(count: int, batch: int, event: str, durability: str, *, triggers: bool = True) -> dict[str, float]:
    """The writes of so many appended events, by one connection."""
    seconds, size = replay(_appended(count, batch, event, durability), triggers=triggers)
    return {"events/s": count / seconds, "bytes/event": size / count}


def cycle(count: int, at_once: int) -> dict[str, float]:
    """The writes of so many rollouts that were enqueued, claimed and finished, grouped as the log grouped them."""
    seconds, _ = replay(_cycled(count, at_once))
    return {"cycles/s": count / seconds}


@cache
def _appended(count: int, batch: int, event: str, durability: str) -> Recording:
    def work(log: SqliteLog) -> None:
        for some in batches(drafts(count, event=event), batch):
            log.append(some)

    return record(work, durability=durability)


@cache
def _cycled(count: int, at_once: int) -> Recording:
    def work(log: SqliteLog) -> None:
        store = Store(log)
        asyncio.run(cycles(store, count, at_once))
        store.close()

    return record(work, durability="normal")


if __name__ == "__main__":
    serve({"append": append, "cycle": cycle})
