"""`sum`: all rewards of the rollout added, for each of its calls."""

from __future__ import annotations

from agl_rewards._story import Story, Terms

__all__ = ["total"]


def total(story: Story) -> Terms | None:
    """Every one that counts and is for the rollout, each once. None where a name has none.

    Rewards for calls, spans and agents are not among them. One that was given again, better, is added again: who
    corrects a reward withdraws the first.
    """
    terms = []
    for name in story.names:
        given = story.given(name, {"rollout"})
        added = [story.term(name, one, why=f"one of {len(given)} that are added") for one in given]
        if not added and (zero := story.zero(name)) is not None:
            added = [zero]
        if not added:
            return None
        terms += added
    return tuple(terms)
