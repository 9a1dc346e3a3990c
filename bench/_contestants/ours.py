"""Our log: appends, replays and exports, through the surface that users have."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

from agl_core.log import SqliteLog
from agl_core.record import Draft
from bench._contestants._drafts import batches, drafts
from bench._contestants._logs import bytes_on_disk, fresh, open_log
from bench._contestants._replays import Files
from bench._contestants._serve import serve


class Log:
    """One of several processes at a file."""

    def __init__(self) -> None:
        self._log: SqliteLog | None = None
        self._ready: Sequence[Draft] = ()

    def join(self, path: str, count: int, seed: int) -> None:
        """Open the file, and have so many events ready."""
        self._log = open_log(Path(path))
        self._ready = drafts(count, event="call", seed=seed)

    def produce(self, window: int, start: float) -> tuple[float, float]:
        """Append them one by one from `start` on; when it began and ended, by a clock all processes share."""
        assert self._log is not None
        sleep(max(0.0, start - monotonic()))
        began = monotonic()
        _produce(self._log, self._ready, window)
        return began, monotonic()

    def leave(self) -> None:
        """Close the file."""
        assert self._log is not None
        self._log.close()


class Replays:
    """Reads of files that are made once."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def replay(self, count: int) -> dict[str, float]:
        """Every event of a log that was opened for it, decoded into what it was."""
        log = open_log(self._files.log(count))
        before = perf_counter()
        found = sum(1 for _ in log.read())
        seconds = perf_counter() - before
        log.close()
        assert found == count
        return {"events/s": count / seconds}

    def export(self, count: int, event: str, suffix: str) -> dict[str, float]:
        """All of a log into a file of another format."""
        from agl_core.export import export_log

        source = self._files.log(count, event)
        with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder:
            target = Path(folder, f"log.{suffix}")
            before = perf_counter()
            export_log(source, target)
            seconds = perf_counter() - before
            return {"rows/s": count / seconds, "bytes/row": target.stat().st_size / count}


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


def threads(count: int, producers: int, window: int) -> dict[str, float]:
    """So many threads of one process, each appending its share one by one."""
    shares = [drafts(count // producers, event="call", seed=seed) for seed in range(producers)]
    with fresh() as log:
        working = [threading.Thread(target=_produce, args=(log, share, window)) for share in shares]
        before = perf_counter()
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()
        seconds = perf_counter() - before
        assert log.head() == producers * (count // producers)
    return {"events/s": producers * (count // producers) / seconds}


def _produce(log: SqliteLog, ready: Sequence[Draft], window: int) -> None:
    """Append one by one, and wait for the oldest when so many are not acknowledged yet."""
    waiting: deque[Future[Any]] = deque()
    for draft in ready:
        if len(waiting) == window:
            waiting.popleft().result()
        waiting.append(log.submit([draft]))
    for future in waiting:
        future.result()


if __name__ == "__main__":
    with ExitStack() as ending:
        log, replays = Log(), Replays(Files(ending))
        serve(
            {
                "append": append,
                "export": replays.export,
                "join": log.join,
                "leave": log.leave,
                "produce": log.produce,
                "replay": replays.replay,
                "threads": threads,
            }
        )
