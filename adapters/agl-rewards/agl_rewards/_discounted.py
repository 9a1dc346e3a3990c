"""`discounted`: what came after a call, and the less of it the later it came.

The return of Sutton and Barto, "Reinforcement Learning: An Introduction", 2nd edition, equation 3.8:
G_t = R_(t+1) + gamma R_(t+2) + gamma^2 R_(t+3) + ..., where R_(t+1) is what arrives at call t.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from agl_core.adapter import Term, TraceReward, Unmatched
from agl_rewards._reach import Reached, reached
from agl_rewards._story import Earned, Story

__all__ = ["discounted"]


def discounted(story: Story, *, gamma: float) -> Earned:
    """Reward-to-go of each call. Each agent's calls are an episode of its own, in the order they were recorded.

    The last reward for each target counts, whatever its target is, and arrives at the last of the calls it is for: the
    rollout's at the agent's last call. A call after which nothing arrives has none.
    """
    arriving: dict[str, list[tuple[str, TraceReward]]] = defaultdict(list)
    zeros: list[Term] = []
    unmatched: list[Unmatched] = []
    for name in story.names:
        found, missed = reached(story, name, {"rollout", "agent", "span", "call"})
        unmatched += missed
        zero = None if found or missed else story.zero(name)
        if not found and zero is None:
            return Earned(unmatched=unmatched)
        zeros += [zero] if zero is not None else []
        for call_id, reward in _arrivals(story, found):
            arriving[call_id].append((name, reward))
    terms = {}
    for episode in _episodes(story, story.calls):
        coming = [(place, *one) for place, call_id in enumerate(episode) for one in arriving.get(call_id, ())]
        for place, call_id in enumerate(episode):
            earned = [
                story.term(name, reward, weight=gamma**steps, why=f"discount {gamma:g} ** {steps}")
                for later, name, reward in coming
                if (steps := later - place) >= 0
            ]
            if earned or len(zeros) == len(story.names):
                terms[call_id] = (*earned, *zeros)
    return Earned(terms=terms, unmatched=unmatched)


def _episodes(story: Story, calls: Iterable[str]) -> Iterator[Sequence[str]]:
    """Those calls, agent by agent."""
    by_agent: dict[str | None, list[str]] = defaultdict(list)
    for call_id in calls:
        by_agent[story.calls[call_id].agent].append(call_id)
    return iter(by_agent.values())


def _arrivals(story: Story, found: Iterable[Reached]) -> Iterator[tuple[str, TraceReward]]:
    for one in found:
        for episode in _episodes(story, one.calls):
            yield episode[-1], one.reward
