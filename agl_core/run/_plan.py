"""What a run is going to do, said before anything is spent: rollouts and questions, as ranges where chance decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agl_core.errors import BadValue

__all__ = ["Plan", "Planned"]

Range = tuple[int, int]
"""At least, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One line of a plan."""

    what: str
    """In words: `round 1: candidates on val`."""
    rollouts: Range = (0, 0)
    """That agents run; how many calls one makes is theirs, and taken for one until it is seen."""
    questions: Range = (0, 0)
    """That the algorithm itself asks of models."""

    def __post_init__(self) -> None:
        for name in ("rollouts", "questions"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise BadValue(f"plan.{name}", (least, most), why="it is (at least, at most), neither below 0")

    @classmethod
    def exactly(cls, what: str, *, rollouts: int = 0, questions: int = 0) -> Planned:
        """So many, whatever happens."""
        return cls(what=what, rollouts=(rollouts, rollouts), questions=(questions, questions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an algorithm will do with the tasks and the budget that it is given, in order."""

    lines: tuple[Planned, ...]
    too_small: str | None = None
    """Why nothing useful comes of the budget; a run that is told so does not begin."""

    @property
    def rollouts(self) -> Range:
        """All of them."""
        return _sum(line.rollouts for line in self.lines)

    @property
    def questions(self) -> Range:
        """All of them."""
        return _sum(line.questions for line in self.lines)

    def calls(self, per_rollout: int = 1) -> Range:
        """Model calls that come of it, when each rollout makes so many: of its agent, and of those who judge it."""
        least, most = self.rollouts
        return _sum([self.questions, (least * per_rollout, most * per_rollout)])

    def to_json(self, per_rollout: int = 1) -> dict[str, Any]:
        """The same for programs."""
        return {
            "lines": [
                {"what": line.what, "rollouts": list(line.rollouts), "questions": list(line.questions)}
                for line in self.lines
            ],
            "rollouts": list(self.rollouts),
            "questions": list(self.questions),
            "calls_per_rollout": per_rollout,
            "calls": list(self.calls(per_rollout)),
            "too_small": self.too_small,
        }


def _sum(ranges: Iterable[Range]) -> Range:
    found = list(ranges)
    return sum(least for least, _ in found), sum(most for _, most in found)
