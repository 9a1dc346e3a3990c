"""Memory that a hundred thousand calls of 3.3 KB leave in the process that appends them, and in one that reads them.

Each figure is resident memory of a fresh process, after garbage was collected. What grows to a bound of its own (the
page cache of SQLite, the log's memory of what it wrote lately) is counted like anything else, so fewer events give a
worse figure. Agent Lightning is given fewer, as it keeps all of them: its figure is scaled.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench._field import Field
from bench._harness import Comparison, Contestant, Figures, Options, Report, interleaved
from bench._peers import AGENT_LIGHTNING

COUNT, PEER_COUNT = 100_000, 10_000
_APPENDS, _READS, _PEER = "ours, appending", "ours, reading", "agentlightning, RAM"


def run(options: Options) -> Report:
    """Row 10 of the goals."""
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder:
        path = str(Path(folder, "log.db"))

        def appends() -> Figures:
            Path(path).unlink(missing_ok=True)
            return _alone("grow", path=path, count=options.scaled(COUNT))

        def reads() -> Figures:
            return _alone("iterate", path=path)

        def peer() -> Figures:
            with Field(options) as fresh:
                found = fresh.peer(AGENT_LIGHTNING)
                assert found is not None
                figures: Figures = found.ask("grow", count=options.scaled(PEER_COUNT))
                return figures

        def _alone(workload: str, **arguments: object) -> Figures:
            with Field(options) as fresh:
                figures: Figures = fresh.start("memory").ask(workload, **arguments)
                return figures

        with Field(options) as field:
            if not Path(path).exists():
                appends()  # whoever reads may come first in a round
            contestants: dict[str, Contestant] = {_APPENDS: appends, _READS: reads}
            if field.peer(AGENT_LIGHTNING):
                contestants[_PEER] = peer
            rounds = interleaved("memory", contestants, rounds=options.rounds_or(3), warm=False)
    goals = (
        Comparison(of=_APPENDS, at_most=60, row=10),
        Comparison(of=_READS, at_most=60, row=10),
        Comparison(of=_PEER, over=_APPENDS),
    )
    return field.report((rounds, [rounds.measure("resident memory", "MB/100k events", *goals)]))
