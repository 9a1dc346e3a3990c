"""`per_call`: what was given to a call, for that call alone."""

from __future__ import annotations

from agl_core.adapter import Term, Unmatched
from agl_rewards._reach import Reached, reached
from agl_rewards._story import Earned, Story

__all__ = ["per_call"]


def per_call(story: Story) -> Earned:
    """Each call's own reward: the last one for the call, else the last for the innermost span around it.

    A reward without an explicit target is the rollout's, and no call's own; nor is an agent's.
    """
    own: dict[str, list[Term]] = {call_id: [] for call_id in story.calls}
    unmatched: list[Unmatched] = []
    for name in story.names:
        found, missed = reached(story, name, {"call", "span"})
        unmatched += missed
        nearest = {id_: one for one in sorted(found, key=lambda one: one.depth) for id_ in one.calls}
        zero = None if found or missed else story.zero(name)
        for call_id, terms in own.items():
            if call_id in nearest:
                terms.append(story.term(name, nearest[call_id].reward, why=_why(nearest[call_id])))
            elif zero is not None:
                terms.append(zero)
    whole = {call_id: tuple(terms) for call_id, terms in own.items() if len(terms) == len(story.names)}
    return Earned(terms=whole, unmatched=unmatched)


def _why(found: Reached) -> str:
    return "for the call" if found.target.kind == "call" else f"for span {found.target.id}, which the call is in"
