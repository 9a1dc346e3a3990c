"""Ours: the log and the store, through the surface that users have."""

from __future__ import annotations

from time import perf_counter

from bench._contestants._drafts import batches, drafts
from bench._contestants._logs import bytes_on_disk, fresh
from bench._contestants._serve import serve


def append(count: int, batch: int, event: str, durability: str) -> dict[str, float]:
    """Appends one after the other, each acknowledged before the next."""
    ready = list(batches(drafts(count, event=event), batch))
    with fresh(durability) as log:
        before = perf_counter()
        for some in ready:
            log.append(some)
        seconds = perf_counter() - before
        log.close()
        size = bytes_on_disk(log.path)
    return {"events/s": count / seconds, "bytes/event": size / count}


if __name__ == "__main__":
    serve({"append": append})
