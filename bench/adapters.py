"""A trace of nested spans into training rows: ours, Agent Lightning's adapter, and decoding the spans at all.

All are given the same trace, ready in memory: Agent Lightning its spans, ours a trace of them, or one whose model calls
are of the wire, which is how ours records them. Every reward is matched. The limit takes each span's attributes out of
JSON and looks at them once: it knows no tree and no agents, and the others need not decode. Processor time, with
Python's collector off for all.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Figures, Measure, Options, Report, Rounds, interleaved
from bench._peers import AGENT_LIGHTNING

COUNTS = [10, 100, 1_000, 3_000]
_GOALS = {100: 8.0, 1_000: 15.0}
_PEER, _LIMIT = "agentlightning", "decoding and one pass"
_OURS = ("trajectories", "transitions", "TracerTraceToTriplet")
_WIRE = "TracerTraceToTriplet, calls of the wire"


def run(options: Options) -> Report:
    """Row 22 of the goals."""
    counts = COUNTS[:2] if options.quick else COUNTS
    asked = {"counts": counts, "least": options.scaled(1_000)}
    with Field(options) as field:
        ours, peer = field.start("adapting"), field.peer(AGENT_LIGHTNING)
        contestants: dict[str, partial[Figures]] = {
            "trajectories": partial(ours.ask, "rows", level="trajectory", **asked),
            "transitions": partial(ours.ask, "rows", level="transition", **asked),
            "TracerTraceToTriplet": partial(ours.ask, "matched", source="spans", **asked),
            _WIRE: partial(ours.ask, "matched", source="wire", **asked),
            _LIMIT: partial(ours.ask, "decode", **asked),
        }
        if peer:
            contestants[_PEER] = partial(peer.ask, "triplets", **asked)
        rounds = interleaved("adapters", contestants, rounds=options.rounds_or(7))
    return field.report((rounds, [*(_rate(rounds, count) for count in counts), _growth(rounds)]))


def _rate(rounds: Rounds, count: int) -> Measure:
    goals = [Comparison(of=one, over=_PEER, at_least=_GOALS.get(count), row=22) for one in _OURS]
    beside = [Comparison(of=_WIRE, over=_PEER), *(Comparison(of=one, over=_LIMIT) for one in (*_OURS, _WIRE))]
    return rounds.measure(f"a trace of {count:,} spans", f"spans/s of {count}", *goals, *beside)


def _growth(rounds: Rounds) -> Measure:
    goals = [Comparison(of=one, at_most=1.5, row=22) for one in (*_OURS, _WIRE)]
    return rounds.measure("what a span costs in the longest trace, next to one of 100", "growth", *goals)
