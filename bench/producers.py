"""Eight producers at one log, as threads of a process and as processes of their own, next to one bare writer.

Each appends calls of 3.3 KB one by one: with a window of 1 it waits for every acknowledgement, with 16 for the oldest
of sixteen. The limit is one SQLite connection that does our writes from ready parameters, as many events in a
transaction as the producers can have waiting: 8, or 128. Processes share nothing but the file.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench._field import Field, Process, answers
from bench._harness import Comparison, Figures, Options, Report, Rounds, interleaved

PRODUCERS, EVENTS = 8, 3200
_LIMIT, _THREADS, _PROCESSES = "bare SQLite, one writer", "ours, threads", "ours, processes"
_HEAD_START = 0.2
"""Seconds, so that all begin together."""


def run(options: Options) -> Report:
    """Row 6 of the goals."""
    count = options.scaled(EVENTS, least=PRODUCERS * 20)
    with Field(options) as field:
        ours, limit = field.start("ours"), field.start("limit")
        crowd = [field.start("ours") for _ in range(PRODUCERS)]

        def rounds(window: int) -> Rounds:
            grouped = {"batch": PRODUCERS * window, "event": "call", "durability": "normal"}
            contestants: dict[str, partial[Figures]] = {
                _THREADS: partial(ours.ask, "threads", count=count, producers=PRODUCERS, window=window),
                _PROCESSES: partial(_together, crowd, count, window),
                _LIMIT: partial(limit.ask, "append", count=count, **grouped),
            }
            return interleaved(f"producers, window {window}", contestants, rounds=options.rounds_or(7))

        one, sixteen = rounds(1), rounds(16)
    goals = tuple(Comparison(of=ours, over=_LIMIT, at_least=0.6, row=6) for ours in (_THREADS, _PROCESSES))
    return field.report(
        (one, [one.measure("each waits for its last append", "events/s", *goals)]),
        (sixteen, [sixteen.measure("each has sixteen appends under way", "events/s", *goals)]),
    )


def _together(crowd: list[Process], count: int, window: int) -> Figures:
    """All processes at one fresh file, from the first that begins to the last that ends."""
    share = count // len(crowd)
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder, ExitStack() as leaving:
        for seed, process in enumerate(crowd):
            process.ask("join", path=str(Path(folder, "log.db")), count=share, seed=seed)
            leaving.callback(process.ask, "leave")
        start = time.monotonic() + _HEAD_START
        for process in crowd:
            process.send("produce", window=window, start=start)
        spans = answers(*crowd)
    return {"events/s": share * len(crowd) / (max(end for _, end in spans) - min(began for began, _ in spans))}
