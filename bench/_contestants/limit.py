"""The bare limits: SQLite and msgspec, told what to do and nothing else."""

from __future__ import annotations

from functools import cache

from agl_core.log import SqliteLog
from bench._contestants._drafts import batches, drafts
from bench._contestants._replaying import Recording, record, replay
from bench._contestants._serve import serve


def append(count: int, batch: int, event: str, durability: str, *, triggers: bool = True) -> dict[str, float]:
    """The writes of so many appended events, by one connection."""
    seconds, size = replay(_appended(count, batch, event, durability), triggers=triggers)
    return {"events/s": count / seconds, "bytes/event": size / count}


@cache
def _appended(count: int, batch: int, event: str, durability: str) -> Recording:
    def work(log: SqliteLog) -> None:
        for some in batches(drafts(count, event=event), batch):
            log.append(some)

    return record(work, durability=durability)


if __name__ == "__main__":
    serve({"append": append})
