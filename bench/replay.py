"""Reading a log back into events, and replaying it: rows made again, and agents run again, next to a plain read of it.

Ours reads a log that was opened for it: every blob found again, every chain of messages and token ids followed. The
limit reads a table that holds the same events as whole JSON, and decodes each row into the same class. A scan only
fetches the rows. All files are in the page cache.

A projection reads rollouts one by one, makes rows of them and hashes these; the plain read takes all events of the same
log in their order. Its memory is that of a fresh process, at its most, less what it was after a twentieth of the rows:
one round, for it knows no slow moments.

A re-execution runs the agent of every rollout again, eight at a time, each with its HTTP client: gateway, matching and
a log of its own are in its time, and no model is. The run itself has a scripted model that answers at once.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from bench._field import Field
from bench._harness import Comparison, Figures, Options, Report, Rounds, interleaved

EVENTS = 10_000
HELD = 100_000
EXECUTED = 500
_LIMIT, _SCAN = "bare SQLite and msgspec", "bare SQLite, rows only"
_READ, _EXECUTED, _LIVE = "a plain read", "re-execution", "the run itself"
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
        executed = _executed(field, options)
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
        (
            executed,
            [
                executed.measure(
                    "calls of an agent, answered from the log", "calls/s",
                    Comparison(of=_EXECUTED, over=_READ), Comparison(of=_EXECUTED, over=_LIVE),
                )
            ],
        ),
        (held, [held.measure("what a projection of 100,000 calls holds", unit) for unit in ("MB/100k calls", "MB")]),
    )  # fmt: skip


def _executed(field: Field, options: Options) -> Rounds:
    count, executing = options.scaled(EXECUTED), field.start("executing")
    ways = {_READ: "read", _EXECUTED: "execute", _LIVE: "live"}
    contestants = {name: partial(executing.ask, workload, count=count) for name, workload in ways.items()}
    return interleaved("replay, executed", contestants, rounds=options.rounds_or(3))


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
        return interleaved("replay, memory", ways, rounds=1, warm=False)
