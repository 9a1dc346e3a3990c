"""Events appended in batches of a hundred, and one by one: ours, bare SQLite, Agent Lightning in memory.

Ours is durable when `append` returns, through redaction, codec, hashes, keys and projections. Bare SQLite does our
writes again from ready parameters (`_contestants/_replaying.py` says what it leaves out); "no triggers" also drops the
triggers that keep events from being changed. Agent Lightning keeps the same content, as spans of 25 attributes, in its
process. NORMAL survives a kill of the process, FULL a loss of power: the disk is asked for each transaction.

Drafts and spans are made beforehand, untimed; every round writes to a fresh file, in a process that has written before.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Figures, Measure, Options, Report, Rounds, interleaved
from bench._peers import AGENT_LIGHTNING

BATCHED, SINGLE = 3000, 800
_NORMAL, _FULL = "bare SQLite", "bare SQLite, FULL"
_PEER = "agentlightning, RAM"


def run(options: Options) -> Report:
    """Rows 1 and 2 of the goals."""
    with Field(options) as field:
        ours, limit, peer = field.start("ours"), field.start("limit"), field.peer(AGENT_LIGHTNING)

        def rounds(name: str, *, count: int, batch: int, event: str = "call") -> Rounds:
            sizes = {"count": options.scaled(count, least=2 * batch), "batch": batch, "event": event}
            contestants: dict[str, partial[Figures]] = {
                "ours": partial(ours.ask, "append", durability="normal", **sizes),
                "ours, FULL": partial(ours.ask, "append", durability="full", **sizes),
                _NORMAL: partial(limit.ask, "append", durability="normal", **sizes),
                f"{_NORMAL}, no triggers": partial(limit.ask, "append", durability="normal", triggers=False, **sizes),
                _FULL: partial(limit.ask, "append", durability="full", **sizes),
            }
            if peer:
                contestants[_PEER] = partial(peer.ask, "append", **sizes)
            return interleaved(f"append, {name}", contestants, rounds=options.rounds_or(7))

        batched = rounds("batches", count=BATCHED, batch=100)
        single = rounds("one by one", count=SINGLE, batch=1)
        tiny = rounds("tiny batches", count=BATCHED, batch=100, event="tiny")
        tiny_single = rounds("tiny, one by one", count=SINGLE, batch=1, event="tiny")
    in_batches = _goals(row=1, limit=0.6, peer=8)
    one_by_one = _goals(row=2, peer=3, full=1)
    shown = _goals()
    return field.report(
        (batched, _measures(batched, "calls of 3.3 KB, a hundred at a time", in_batches)),
        (single, _measures(single, "calls of 3.3 KB, one by one", one_by_one)),
        (tiny, _measures(tiny, "tiny events, a hundred at a time", shown)),
        (tiny_single, _measures(tiny_single, "tiny events, one by one", shown)),
    )


def _goals(
    *, row: int | None = None, limit: float | None = None, peer: float | None = None, full: float | None = None
) -> tuple[Comparison, ...]:
    """Ours to the limit, ours to the peer, and ours with a sync each to the peer: at least so many times as fast."""
    return (
        Comparison(over=_NORMAL, at_least=limit, row=row if limit else None),
        Comparison(over=f"{_NORMAL}, no triggers"),
        Comparison(over=_PEER, at_least=peer, row=row if peer else None),
        Comparison(of="ours, FULL", over=_FULL),
        Comparison(of="ours, FULL", over=_PEER, at_least=full, row=row if full else None),
    )


def _measures(rounds: Rounds, name: str, goals: tuple[Comparison, ...]) -> list[Measure]:
    return [rounds.measure(name, "events/s", *goals), rounds.measure(f"{name}: on disk", "bytes/event")]
