"""Reading a log back into events, next to bare SQLite and msgspec.

Ours reads a log that was opened for it: every blob found again, every chain of messages and token ids followed. The
limit reads a table that holds the same events as whole JSON, and decodes each row into the same class. A scan only
fetches the rows. All files are in the page cache.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Options, Report, interleaved

EVENTS = 10_000
_LIMIT, _SCAN = "bare SQLite and msgspec", "bare SQLite, rows only"


def run(options: Options) -> Report:
    """Row 24 of the goals, the half about replay."""
    count = options.scaled(EVENTS)
    with Field(options) as field:
        ours, limit = field.start("ours"), field.start("limit")
        contestants = {
            "ours": partial(ours.ask, "replay", count=count),
            _LIMIT: partial(limit.ask, "decode", count=count),
            _SCAN: partial(limit.ask, "scan", count=count),
        }
        rounds = interleaved("replay", contestants, rounds=options.rounds_or(7))
    goals = (Comparison(over=_LIMIT, at_least=0.5, row=24), Comparison(over=_SCAN))
    return field.report((rounds, [rounds.measure("calls of 3.3 KB, read back", "events/s", *goals)]))
