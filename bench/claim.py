"""What a claim costs with a thousand to a million rollouts in the queue: it should not know how many there are.

The median of claims made one after the other, each of which is a transaction and reads the rollout and its task back.
Queues are filled beforehand, untimed; after a round what was claimed is finished, and as many are enqueued again.
"""

from __future__ import annotations

from functools import partial

from bench._field import Field
from bench._harness import Comparison, Figures, Options, Report, interleaved
from bench._peers import AGENT_LIGHTNING

QUEUED = (1000, 10_000, 100_000, 1_000_000)
QUICK = QUEUED[:2]
PEER_MOST = 100_000
"""Its million would need some ten gigabytes."""
CLAIMS = 200


def run(options: Options) -> Report:
    """Row 7 of the goals."""
    queued = QUICK if options.quick else QUEUED
    with Field(options) as field:
        ours, peer = field.start("store"), field.peer(AGENT_LIGHTNING)
        contestants: dict[str, partial[Figures]] = {
            _ours(count): partial(ours.ask, "claim", queued=count, count=options.scaled(CLAIMS)) for count in queued
        }
        for count in queued:
            if peer and count <= PEER_MOST:
                contestants[_peer(count)] = partial(peer.ask, "claim", queued=count, count=options.scaled(CLAIMS))
        rounds = interleaved("claim", contestants, rounds=options.rounds_or(7))
    most = min(queued[-1], PEER_MOST)
    goals = (
        *(Comparison(of=_ours(count), over=_ours(queued[0])) for count in queued[1:-1]),
        Comparison(of=_ours(queued[-1]), over=_ours(queued[0]), at_most=1.2, row=7),
        Comparison(of=_ours(most), over=_peer(most)),
        Comparison(of=_peer(most), over=_peer(queued[0])),
    )
    return field.report((rounds, [rounds.measure("a claim, p50", "us", *goals)]))


def _ours(count: int) -> str:
    return f"ours, {count:,} queued"


def _peer(count: int) -> str:
    return f"agentlightning, {count:,} queued"
