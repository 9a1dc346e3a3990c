"""Credit: what a call earned, and the sum it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

__all__ = ["Credit", "Term"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A reward's part in a credit: `weight * value`."""

    reward_id: str | None
    """Id of the event that gave it; null where nobody did, and a failure policy put a zero."""
    rollout_id: str
    """Whose reward it is: a group-relative credit has terms of its rollout's siblings."""
    name: str
    """Of the reward: `primary`, ..."""
    judge: str
    value: float
    """As it was given."""
    weight: float
    why: str
    """Where the weight comes from, for people: `discount 0.9 ** 2`, `- 1/4 of the group's mean`."""


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
