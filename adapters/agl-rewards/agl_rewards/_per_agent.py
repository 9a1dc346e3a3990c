"""`per_agent`: what was given to an agent, for each of its calls."""

from __future__ import annotations

from collections.abc import Mapping

from agl_core.adapter import Term, Unmatched
from agl_rewards._reach import reached
from agl_rewards._story import Earned, Story, Terms

__all__ = ["by_agent", "per_agent"]


def per_agent(story: Story) -> Earned:
    """The last reward for its agent, for each call. A call of no named agent has none."""
    agents, unmatched = by_agent(story)
    terms = {call_id: agents[call.agent] for call_id, call in story.calls.items() if call.agent in agents}
    return Earned(terms=terms, unmatched=unmatched)


def by_agent(story: Story) -> tuple[Mapping[str | None, Terms], list[Unmatched]]:
    """What each agent earned, of all that a reward was given to; and rewards for agents that made no call."""
    own: dict[str | None, list[Term]] = {}
    unmatched: list[Unmatched] = []
    for name in story.names:
        found, missed = reached(story, name, {"agent"})
        unmatched += missed
        for one in found:
            own.setdefault(one.target.id, []).append(story.term(name, one.reward, why=f"for agent {one.target.id}"))
        if not found and not missed and (zero := story.zero(name)) is not None:
            for agent in dict.fromkeys(call.agent for call in story.calls.values()):
                own.setdefault(agent, []).append(zero)
    return {agent: tuple(terms) for agent, terms in own.items() if len(terms) == len(story.names)}, unmatched
