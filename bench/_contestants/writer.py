"""A process that appends from four threads until it is killed, and says what was acknowledged: a line an event's id."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

from agl_core.log import SqliteLog
from bench._contestants._drafts import drafts
from bench._contestants._logs import open_log

THREADS, BATCH = 4, 5


def write(log: SqliteLog, seeds: itertools.count[int]) -> None:
    """For ever."""
    for seed in seeds:
        records = log.append(drafts(BATCH, event="call", seed=seed))
        # One write: lines of several threads do not mix.
        os.write(1, "".join(f"{record.id}\n" for record in records).encode())


if __name__ == "__main__":
    shared, counted = open_log(Path(sys.argv[1])), itertools.count()
    for _ in range(THREADS):
        threading.Thread(target=write, args=(shared, counted), daemon=True).start()
    threading.Event().wait()
