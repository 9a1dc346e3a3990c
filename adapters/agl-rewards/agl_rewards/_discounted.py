"""`discounted`: what came after a call, and the less of it the later it came.

The return of Sutton and Barto, "Reinforcement Learning: An Introduction", 2nd edition, in the form of equation 3.9:
G_t = R_(t+1) + gamma G_(t+1), where R_(t+1) is what arrives at call t.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agl_core.adapter import Term, Unmatched
from agl_rewards._reach import Reached, reached
from agl_rewards._story import Earned, Story, Terms, worth

__all__ = ["discounted"]


def discounted(story: Story, *, gamma: float) -> Earned:
    """Reward-to-go of each call. Each agent's calls are an episode of its own, in the order they were recorded.

    The last reward for each target counts, whatever its target is, and arrives at the last of the calls it is for: the
    rollout's at the agent's last call. A call after which nothing arrives has none. Every other is made of what arrives
    at it, and of what the next call earned: so there is a term for each reward and each call, and not for each pair.
    """
    arriving: dict[str, list[Term]] = defaultdict(list)
    zeros: list[Term] = []
    unmatched: list[Unmatched] = []
    for name in story.names:
        found, missed = reached(story, name, {"rollout", "agent", "span", "call"})
        unmatched += missed
        zero = None if found or missed else story.zero(name)
        if not found and zero is None:
            return Earned(unmatched=unmatched)
        zeros += [zero] if zero is not None else []
        for call_id, one in _arrivals(story, found):
            arriving[call_id].append(story.term(name, one.reward, why=_why(one)))
    episodes = list(_episodes(story, story.calls))
    if len(zeros) == len(story.names):
        arriving = {episode[-1]: [] for episode in episodes}
    terms: dict[str, Terms] = {}
    for episode in episodes:
        terms |= _returns(story, episode, arriving, zeros=zeros, gamma=gamma)
    return Earned(terms=terms, unmatched=unmatched)


def _returns(
    story: Story, episode: Sequence[str], arriving: Mapping[str, Sequence[Term]], *, zeros: Sequence[Term], gamma: float
) -> dict[str, Terms]:
    """From the last call back. Zeros that nobody gave stand where the last thing arrives."""
    terms: dict[str, Terms] = {}
    following: tuple[Term, ...] = ()
    for call_id in reversed(episode):
        if call_id not in arriving and not following:
            continue
        terms[call_id] = (*arriving.get(call_id, ()), *(following or zeros))
        following = (_share(story, call_id, terms[call_id], gamma=gamma),)
    return terms


def _share(story: Story, call_id: str, terms: Terms, *, gamma: float) -> Term:
    """What the call passes on to the one before it; the weights of names are in its value already."""
    return Term(
        reward_id=None,
        call_id=call_id,
        rollout_id=story.trace.rollout_id,
        name=" + ".join(story.names),
        judge="discounted",
        value=worth(terms),
        weight=gamma,
        why=f"discount {gamma:g}, for what comes after",
    )


def _episodes(story: Story, calls: Iterable[str]) -> Iterator[Sequence[str]]:
    """Those calls, agent by agent."""
    by_agent: dict[str | None, list[str]] = defaultdict(list)
    for call_id in calls:
        by_agent[story.calls[call_id].agent].append(call_id)
    return iter(by_agent.values())


def _arrivals(story: Story, found: Iterable[Reached]) -> Iterator[tuple[str, Reached]]:
    for one in found:
        for episode in _episodes(story, one.calls):
            yield episode[-1], one


def _why(found: Reached) -> str:
    match found.target.kind:
        case "call":
            return "for the call"
        case "rollout":
            return "for the rollout, at the last call"
    return f"for {found.target.kind} {found.target.id}, at the last call"
