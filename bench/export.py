"""A whole log into Parquet, and into the other formats it can be exported to, next to only fetching its rows.

A row is an event. Calls of 3.3 KB bring their blobs along; tiny events show what a row costs. The limit takes every
column of the events out of SQLite and does nothing with them: no blobs, no Arrow, no file.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Figures, Options, Report, Rounds, interleaved

EVENTS = {"tiny": 200_000, "call": 20_000}
FORMATS = ("parquet", "duckdb", "jsonl")
_LIMIT = "bare SQLite, rows only"


def run(options: Options) -> Report:
    """Row 24 of the goals, the half about exports."""
    with Field(options) as field:
        ours, limit = field.start("ours"), field.start("limit")

        def rounds(event: str) -> Rounds:
            sizes = {"count": options.scaled(EVENTS[event]), "event": event}
            contestants: dict[str, partial[Figures]] = {
                suffix: partial(ours.ask, "export", suffix=suffix, **sizes) for suffix in FORMATS
            }
            contestants[_LIMIT] = partial(limit.ask, "fetch", **sizes)
            return interleaved(f"export, {event}", contestants, rounds=options.rounds_or(5))

        tiny, calls = rounds("tiny"), rounds("call")
    ratios = tuple(Comparison(of=suffix, over=_LIMIT) for suffix in FORMATS)
    goal = Comparison(of="parquet", at_least=300_000, row=24)
    return field.report(
        (tiny, [tiny.measure("tiny events", "rows/s", goal, *ratios)]),
        (calls, [calls.measure("calls of 3.3 KB", "rows/s", *ratios), calls.measure("on disk", "bytes/row")]),
    )
