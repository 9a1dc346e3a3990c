"""Rows made again from the calls of a log, next to reading that log; and what is in memory meanwhile."""

from __future__ import annotations

import gc
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

from agl_core.export.rows import choose
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.replay.projection import Projection
from agl_core.replay.recipes import of_rollouts, otherwise
from bench._contestants._logs import open_log
from bench._contestants._rollouts import log_of
from bench._contestants._serve import megabytes, serve

_LOOKS = 20
"""How often memory is looked at."""


class Projecting:
    """Logs that are made once, by how many calls are in them."""

    def __init__(self, ending: ExitStack) -> None:
        self._folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="agl-bench-")))
        self._runs: dict[int, str] = {}

    def project(self, count: int, adapter: str, options: dict[str, Any]) -> dict[str, float]:
        """The rows that the adapter makes of all calls, each encoded for the digest."""
        with self._log(count) as log:
            before = perf_counter()
            made = _projection(log, self._runs[count], adapter, options).through()
            seconds = perf_counter() - before
        assert made.captured == made.kept == count
        return {"calls/s": count / seconds, "rows/s": made.rows / seconds}

    def read(self, count: int) -> dict[str, float]:
        """Every event of the log, in order, decoded into what it was."""
        with self._log(count) as log:
            before = perf_counter()
            for _ in log.read():
                pass
            return {"calls/s": count / (perf_counter() - before)}

    def _log(self, count: int) -> SqliteLog:
        path = self._folder / f"{count}.db"
        if count not in self._runs:
            self._runs[count] = log_of(path, count)
        return open_log(path)


def make(path: str, count: int) -> None:
    """A log of so many calls."""
    log_of(Path(path), count)


def hold(path: str, adapter: str, options: dict[str, Any]) -> dict[str, float]:
    """Resident memory over a projection: how much more it is at its most than after a twentieth of the rows."""
    with open_log(Path(path)) as log:
        (run_id,) = log.rows("select run_id from runs")[0]
        (count,) = log.rows("select count(*) from calls")[0]
        seen: list[float] = []
        for number, _ in enumerate(_projection(log, run_id, adapter, options), start=1):
            if number % max(1, count // _LOOKS) == 0:
                gc.collect()
                seen.append(megabytes())
    return {"MB/100k calls": (max(seen) - seen[0]) * 100_000 / count, "MB": max(seen)}


def _projection(log: SqliteLog, run_id: str, adapter: str, options: dict[str, Any]) -> Projection:
    rollouts = [rollout_id for task in choose(log, [run_id]).tasks for rollout_id, _ in task]
    base = of_rollouts(log, rollouts, run_id=run_id, as_of=log.head())
    return Projection(log, Plugins.load(), otherwise(log, base, adapter=adapter, told=options))


if __name__ == "__main__":
    with ExitStack() as ending:
        projecting = Projecting(ending)
        serve({"hold": hold, "make": make, "project": projecting.project, "read": projecting.read})
