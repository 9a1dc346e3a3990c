"""A hundred rollouts listed by status, and the watch over leases, with little and with much in the store.

Listing asks for the first hundred that wait, among a thousand and a hundred thousand. The watch is seen from outside:
how long a second store over the same file takes to look after every lease when it opens, and the longest that an append
of another took while a store kept its leases, through at least one renewal. Agent Lightning's watch runs inside a call
of its API; that call is timed, with its ten seconds between looks switched off.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Figures, Options, Report, interleaved
from bench._peers import AGENT_LIGHTNING

FEW, MANY, QUICK_MANY = 1000, 100_000, 4000
CALLS = 10
WATCHED = 12.0
"""Seconds, in which leases of thirty are renewed at least once."""


def run(options: Options) -> Report:
    """Row 8 of the goals."""
    sizes = (FEW, QUICK_MANY if options.quick else MANY)
    with Field(options) as field:
        ours, peer = field.start("store"), field.peer(AGENT_LIGHTNING)
        lists: dict[str, partial[Figures]] = {
            _ours(size): partial(ours.ask, "list", queued=size, count=CALLS) for size in sizes
        }
        watches: dict[str, partial[Figures]] = {
            _ours(size): partial(ours.ask, "reopen", running=size) for size in sizes
        }
        if peer:
            lists |= {_peer(size): partial(peer.ask, "list", queued=size, count=CALLS) for size in sizes}
            watches |= {_peer(size): partial(peer.ask, "watchdog", running=size) for size in sizes}
        watched = options.scaled(int(WATCHED))
        stalls = {_ours(size): partial(ours.ask, "stall", running=size, seconds=watched) for size in sizes}
        listed = interleaved("list", lists, rounds=options.rounds_or(7))
        stalled = interleaved("list, appends beside leases", stalls, rounds=options.rounds_or(2), warm=False)
        looked = interleaved("list, watchdog", watches, rounds=options.rounds_or(3))
    grown = Comparison(of=_ours(sizes[1]), over=_ours(sizes[0]), at_most=2, row=8)
    beside = Comparison(of=_ours(sizes[1]), over=_ours(sizes[0]))  # of no row: the worst of thousands is no rate
    seen = (
        grown,
        Comparison(of=_ours(sizes[1]), over=_peer(sizes[1])),
        Comparison(of=_peer(sizes[1]), over=_peer(sizes[0])),
    )
    return field.report(
        (listed, [listed.measure("the first 100 by status, among those that wait", "ms", *seen)]),
        (looked, [looked.measure("a look for lost leases, none of them lost, of those that run", "ms", *seen)]),
        (stalled, [stalled.measure("the longest append while leases are kept", "ms", beside)]),
    )


def _ours(size: int) -> str:
    return f"ours, {size:,}"


def _peer(size: int) -> str:
    return f"agentlightning, {size:,}"
