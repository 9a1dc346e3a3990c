"""`final`: the last reward of the rollout, for each of its calls."""

from __future__ import annotations

from agl_rewards._story import Story, Terms

__all__ = ["final"]


def final(story: Story) -> Terms | None:
    """The last that counts and is for the rollout: what `Outcome.reward` is. None where a name has none."""
    terms = []
    for name in story.names:
        given = story.trace.final(name)
        term = story.zero(name) if given is None else story.term(name, given, why="the final reward")
        if term is None:
            return None
        terms.append(term)
    return tuple(terms)
