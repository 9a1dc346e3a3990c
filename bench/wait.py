"""`wait_for_rollouts` with a time-out of 0.1 s, on rollouts of which none ends: it should take 0.1 s for any number.

Agent Lightning waits for ten thousand in minutes, so it is asked for three hundred only, once a round.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Figures, Options, Report, interleaved
from bench._peers import AGENT_LIGHTNING

PENDING = (1, 300, 10_000)
PEER_PENDING = (1, 300)
TIMEOUT = 0.1


def run(options: Options) -> Report:
    """Row 9 of the goals."""
    with Field(options) as field:
        ours, peer = field.start("store"), field.peer(AGENT_LIGHTNING)
        contestants: dict[str, partial[Figures]] = {
            _ours(count): partial(ours.ask, "wait", pending=count, timeout=TIMEOUT, count=3) for count in PENDING
        }
        if peer:
            contestants |= {
                _peer(count): partial(peer.ask, "wait", pending=count, timeout=TIMEOUT, count=1)
                for count in PEER_PENDING
            }
        rounds = interleaved("wait", contestants, rounds=options.rounds_or(3), warm=False)
    goals = [Comparison(of=_ours(count), at_most=150, row=9) for count in PENDING]
    goals += [Comparison(of=_peer(count), over=_ours(count)) for count in PEER_PENDING]
    return field.report((rounds, [rounds.measure("waiting 0.1 s in vain", "ms", *goals)]))


def _ours(count: int) -> str:
    return f"ours, {count:,} pending"


def _peer(count: int) -> str:
    return f"agentlightning, {count:,} pending"
