"""Appends and replays next to the `eventsourcing` library over its own SQLite store.

Both keep the same calls of 3.3 KB; the library as events of one aggregate whose attributes are a dictionary, which it
encodes as JSON. Its connection keeps SQLite's default, a sync with each transaction, so that its like is our FULL.
Events are made beforehand, untimed.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Figures, Options, Report, Rounds, interleaved
from bench._peers import EVENTSOURCING

APPENDED, REPLAYED = 1000, 5000
_PEER = "eventsourcing"


def run(options: Options) -> Report:
    """Row 25 of the goals."""
    with Field(options) as field:
        ours, peer = field.start("ours"), field.peer(EVENTSOURCING)

        def appended(batch: int) -> Rounds:
            sizes = {"count": options.scaled(APPENDED, least=40), "batch": batch}
            contestants: dict[str, partial[Figures]] = {
                "ours": partial(ours.ask, "append", event="call", durability="normal", **sizes),
                "ours, FULL": partial(ours.ask, "append", event="call", durability="full", **sizes),
            }
            if peer:
                contestants[_PEER] = partial(peer.ask, "append", **sizes)
            return interleaved(f"eventsourcing, {batch} at a time", contestants, rounds=options.rounds_or(7))

        def replayed() -> Rounds:
            count = options.scaled(REPLAYED)
            contestants: dict[str, partial[Figures]] = {"ours": partial(ours.ask, "replay", count=count)}
            if peer:
                contestants[_PEER] = partial(peer.ask, "replay", count=count)
            return interleaved("eventsourcing, replay", contestants, rounds=options.rounds_or(7))

        single, batched, replay = appended(1), appended(10), replayed()
    shown = (Comparison(over=_PEER), Comparison(of="ours, FULL", over=_PEER))
    goals = (Comparison(over=_PEER, at_least=4, row=25), Comparison(of="ours, FULL", over=_PEER))
    replay_goal = Comparison(over=_PEER, at_least=2.5, row=25)
    return field.report(
        (single, [single.measure("appended one by one", "events/s", *goals)]),
        (batched, [batched.measure("appended ten at a time", "events/s", *shown)]),
        (replay, [replay.measure("read back", "events/s", replay_goal)]),
    )
