"""A rollout's way through the store: enqueue, claim, finish, next to Agent Lightning in memory and over HTTP.

Three transactions, each durable and acknowledged before the next. Bare SQLite does our writes again from ready
parameters, without a look at what it claims. Agent Lightning's server and its client are a process each; its server
keeps everything in memory. Both stores take the same task and skip the agent.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Figures, Options, Report, Rounds, interleaved
from bench._peers import AGENT_LIGHTNING

CYCLES, OVER_HTTP, AT_ONCE = 1600, 320, 16
_LIMIT, _RAM, _HTTP = "bare SQLite", "agentlightning, RAM", "agentlightning, HTTP"


def run(options: Options) -> Report:
    """Row 5 of the goals."""
    with Field(options) as field:
        ours, limit = field.start("store"), field.start("limit")
        peer, server = field.peer(AGENT_LIGHTNING), field.peer(AGENT_LIGHTNING)
        url = server.ask("serve") if server else None

        def rounds(at_once: int) -> Rounds:
            sizes = {"count": options.scaled(CYCLES, least=4 * AT_ONCE), "at_once": at_once}
            contestants: dict[str, partial[Figures]] = {
                "ours": partial(ours.ask, "cycle", durability="normal", **sizes),
                "ours, FULL": partial(ours.ask, "cycle", durability="full", **sizes),
                _LIMIT: partial(limit.ask, "cycle", **sizes),
            }
            if peer:
                over_http = {"count": options.scaled(OVER_HTTP, least=2 * AT_ONCE), "at_once": at_once, "url": url}
                contestants[_RAM] = partial(peer.ask, "cycle", **sizes)
                contestants[_HTTP] = partial(peer.ask, "cycle", **over_http)
            return interleaved(f"cycle, {at_once} at a time", contestants, rounds=options.rounds_or(7))

        alone, at_once = rounds(1), rounds(AT_ONCE)
    return field.report(
        (alone, [alone.measure("one at a time", "cycles/s", *_goals(row=None))]),
        (at_once, [at_once.measure(f"{AT_ONCE} at a time", "cycles/s", *_goals(row=5))]),
    )


def _goals(*, row: int | None) -> tuple[Comparison, ...]:
    return (
        Comparison(over=_LIMIT),
        Comparison(over=_RAM, at_least=1, row=5),
        Comparison(over=_HTTP, at_least=6, row=5),
        Comparison(of="ours, FULL", over=_RAM, at_least=1 if row else None, row=row),
    )
