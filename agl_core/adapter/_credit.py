"""Credit: what a call earned, and the sum it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

__all__ = ["Credit", "Term"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A part of a credit, `weight * value`: of a reward, or of what another call earned."""

    reward_id: str | None
    """Id of the event that gave it; null where nobody did: a failure policy put a zero, or a call earned it."""
    call_id: str | None = None
    """The call whose credit this is a share of, a row of the same adapter; null of a reward's own."""
    rollout_id: str
    """Whose it is: a group-relative credit has terms of its rollout's siblings."""
    name: str
    """Of the reward: `primary`, ..."""
    judge: str
    """Who gave the value; of what a call earned, the rule."""
    value: float
    """As it was given; of a call, all that it earned."""
    weight: float
    why: str
    """Where the weight comes from, for people: `discount 0.9`, `-1/4, for the mean of the group`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What one policy call earned: a row of a credit adapter, of which there is one for each call it keeps."""

    call_id: str
    rollout_id: str
    rule: str
    """Who assigned it: `final`, `discounted`, ..."""
    terms: tuple[Term, ...]
    """All it is made of, in the order they are added."""

    @property
    def value(self) -> float:
        """The sum of the terms, correctly rounded: adding them again gives the same number, in any order."""
        return fsum(term.weight * term.value for term in self.terms)
