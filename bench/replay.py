"""Reading a log back into events, and replaying it: rows made again, next to a plain read of the same log.

Ours reads a log that was opened for it: every blob found again, every chain of messages and token ids followed. The
limit reads a table that holds the same events as whole JSON, and decodes each row into the same class. A scan only
fetches the rows. All files are in the page cache.

A projection reads rollouts one by one, makes rows of them and hashes these; the plain read takes all events of the same
log in their order. Its memory is that of a fresh process, at its most, less what it was after a twentieth of the rows.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from bench._field import Field
from bench._harness import Comparison, Figures, Options, Report, Rounds, interleaved

EVENTS = 10_000
HELD = 100_000
_LIMIT, _SCAN = "bare SQLite and msgspec", "bare SQLite, rows only"
_READ = "a plain read"
_WAYS = {
    "rows of tokens": ("triplets", {"level": "transition"}),
    "rows of tokens, by a rule": ("triplets", {"level": "transition", "credit": {"rule": "group_relative"}}),
    "transcripts": ("messages", {"level": "call"}),
}


def run(options: Options) -> Report:
    """Row 24 of the goals, the half about replay."""
    count = options.scaled(EVENTS)
    with Field(options) as field:
        ours, limit, projecting = field.start("ours"), field.start("limit"), field.start("projecting")
        contestants = {
            "ours": partial(ours.ask, "replay", count=count),
            _LIMIT: partial(limit.ask, "decode", count=count),
            _SCAN: partial(limit.ask, "scan", count=count),
        }
        rounds = interleaved("replay", contestants, rounds=options.rounds_or(7))
        again = {_READ: partial(projecting.ask, "read", count=count)} | {
            name: partial(projecting.ask, "project", count=count, adapter=adapter, options=told)
            for name, (adapter, told) in _WAYS.items()
        }
        projected = interleaved("replay, projected", again, rounds=options.rounds_or(7))
    held = _held(options)
    goals = (Comparison(over=_LIMIT, at_least=0.5, row=24), Comparison(over=_SCAN))
    return field.report(
        (rounds, [rounds.measure("calls of 3.3 KB, read back", "events/s", *goals)]),
        (
            projected,
            [
                projected.measure(
                    "calls of 3.3 KB, five to a rollout, made rows again", "calls/s",
                    *(Comparison(of=name, over=_READ) for name in _WAYS),
                )
            ],
        ),
        (held, [held.measure("what a projection of 100,000 calls holds", unit) for unit in ("MB/100k calls", "MB")]),
    )  # fmt: skip


def _held(options: Options) -> Rounds:
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder:
        path = str(Path(folder, "log.db"))
        with Field(options) as field:
            field.start("projecting").ask("make", path=path, count=options.scaled(HELD))

        def alone(adapter: str, told: object) -> Figures:
            with Field(options) as fresh:
                figures: Figures = fresh.start("projecting").ask("hold", path=path, adapter=adapter, options=told)
                return figures

        ways = {name: partial(alone, *way) for name, way in _WAYS.items()}
        return interleaved("replay, memory", ways, rounds=options.rounds_or(1), warm=False)
