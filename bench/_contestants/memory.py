"""What our log keeps in memory: of a process that appends, and of one that reads it all."""

from __future__ import annotations

import gc
from pathlib import Path

from bench._contestants._drafts import drafts
from bench._contestants._logs import open_log
from bench._contestants._serve import megabytes, serve

BATCH = 100
_WARM = 5
"""Batches before the first look: caches of imports and of SQLite are there then."""


def grow(path: str, count: int) -> dict[str, float]:
    """Resident memory that so many appended calls leave behind, for a hundred thousand of them."""
    log = open_log(Path(path))
    for seed in range(_WARM):
        log.append(drafts(BATCH, event="call", seed=seed))
    before = _settled()
    for seed in range(_WARM, _WARM + count // BATCH):
        log.append(drafts(BATCH, event="call", seed=seed))
    grown = _settled() - before
    log.close()
    return {"MB/100k events": grown * 100_000 / count}


def iterate(path: str) -> dict[str, float]:
    """The same for as many that are read, one after the other."""
    log = open_log(Path(path))
    count = 0
    for record in log.read():
        count += 1
        if record.position == _WARM * BATCH:
            before = _settled()
    grown = _settled() - before
    log.close()
    return {"MB/100k events": grown * 100_000 / count}


def _settled() -> float:
    gc.collect()
    return megabytes()


if __name__ == "__main__":
    serve({"grow": grow, "iterate": iterate})
