"""Writers killed with SIGKILL at random moments, over one file: how many acknowledged events are gone afterwards.

Four threads of a process append batches of five calls and say which were acknowledged; the file goes on from kill to
kill and is opened again after each. Agent Lightning's store is in memory: it has nothing to open again.
A count, not a proof: the tests kill writers, claimers and migrations, and look at everything.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from agl_core import open_log
from bench._field import environment
from bench._harness import Comparison, Figures, Options, Report, interleaved

KILLS = 20
SHORTEST, LONGEST = 0.05, 0.8
"""Seconds of writing, once the first event was acknowledged."""


def run(options: Options) -> Report:
    """Row 11 of the goals."""
    chance = random.Random(20260701)
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder:
        path = Path(folder, "log.db")

        def killed() -> Figures:
            acknowledged = _acknowledged(path, chance.uniform(SHORTEST, LONGEST))
            log = open_log(str(path))
            kept = {id_ for (id_,) in log.rows("select id from events")}
            log.close()
            return {"acknowledged": len(acknowledged), "lost": len(acknowledged - kept)}

        rounds = interleaved("kill", {"ours": killed}, rounds=options.rounds_or(KILLS), warm=False)
    acknowledged = rounds.measure("acknowledged before a kill", "acknowledged")
    lost = rounds.measure("acknowledged, and not there afterwards", "lost", Comparison(at_most=0, row=11))
    total = f"{sum(lost.figures['ours']):.0f} of {sum(acknowledged.figures['ours']):,.0f} acknowledged events lost"
    return Report.of((rounds, [acknowledged, lost]), notes=[total])


def _acknowledged(path: Path, seconds: float) -> set[str]:
    """What a writer was told is kept, in so many seconds before it is killed."""
    command = [sys.executable, "-P", "-m", "bench._contestants.writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        assert first, "the writer ended by itself"
        # The pipe holds little: it must be read meanwhile, or the writer would wait for us.
        killer = threading.Timer(seconds, writer.kill)
        killer.start()
        lines = [first, *writer.stdout]
    return {line.decode().strip() for line in lines if line.endswith(b"\n")}  # the last may be cut off
