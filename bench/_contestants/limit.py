"""The bare limits: SQLite and msgspec, told what to do and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cache
from time import perf_counter

import msgspec

from agl_core import Store
from agl_core.events import CallRecorded
from agl_core.log import SqliteLog
from bench._contestants._drafts import batches, drafts
from bench._contestants._replaying import Recording, record, replay
from bench._contestants._replays import Files
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


class Decoding:
    """Reads of a table that holds events as whole JSON."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def decode(self, count: int) -> dict[str, float]:
        """Rows out of SQLite, each decoded into the same event by msgspec alone."""
        decoder = msgspec.json.Decoder(CallRecorded)
        return {"events/s": self._read(count, decoder.decode)}

    def scan(self, count: int) -> dict[str, float]:
        """Rows out of SQLite, and nothing done with them."""
        return {"events/s": self._read(count, len)}

    def fetch(self, count: int, event: str) -> dict[str, float]:
        """All columns of a log's events out of SQLite, and nothing done with them."""
        with closing(sqlite3.connect(self._files.log(count, event))) as db:
            before = perf_counter()
            found = sum(1 for _ in db.execute("select * from events order by position"))
            assert found == count
            return {"rows/s": count / (perf_counter() - before)}

    def _read(self, count: int, look: Callable[[bytes], object]) -> float:
        with closing(sqlite3.connect(self._files.table(count))) as db:
            before = perf_counter()
            for (data,) in db.execute("select data from events order by position"):
                look(data)
            return count / (perf_counter() - before)


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
    with ExitStack() as ending:
        decoding = Decoding(Files(ending))
        serve(
            {
                "append": append,
                "cycle": cycle,
                "decode": decoding.decode,
                "fetch": decoding.fetch,
                "scan": decoding.scan,
            }
        )
