"""The answer fits a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from agl_core.errors import BadValue, ExpectedMissing, JudgeFailed
from agl_core.judges._answer import Answer, answer_of, check_answer
from agl_core.judges._expected import expected_of, shown
from agl_core.judges._judge import Verdict, identity
from agl_core.judges._matching import How, Slow, check_pattern, matched
from agl_core.projections import Trace

__all__ = ["Regex"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    """1 where Python's `re` finds the pattern in the answer, else 0.

    A pattern may take longer than anybody waits, and `re` cannot be stopped: a match that is not seen to be short is a
    process of its own, some hundredths of a second, and is ended after `seconds`. That is a reason, and no zero.
    """

    name: ClassVar[str] = "regex"
    version: ClassVar[str] = "1"

    pattern: str = ""
    """The pattern; left out, the task says it where `expected` points."""
    expected: str = "pattern"
    """Where the task has its pattern: a.b.c."""
    how: How = "search"
    """Anywhere in the answer, from its beginning, or all of it."""
    flags: str = ""
    """Letters of i, m, s and x, as in (?im)."""
    answer: Answer = "last"
    """Where the answer is: last, agent:NAME, message, object:PATH, annotation:KEY, or a template."""
    seconds: float = 2.0
    """Longest time for a match."""

    def __post_init__(self) -> None:
        check_answer(self.answer)
        check_pattern("pattern", self.pattern, self.flags)
        if not 0 < self.seconds < float("inf"):
            raise BadValue("seconds", self.seconds, why="it is a number above 0")

    async def __call__(self, trace: Trace) -> Verdict:
        """The same answer and pattern, the same verdict; only the time-out depends on the machine."""
        pattern = self.pattern or expected_of(trace, self.expected)
        if not isinstance(pattern, str):
            raise ExpectedMissing(self.expected, why="a pattern is text")
        check_pattern(self.expected, pattern, self.flags)
        answer = answer_of(trace, self.answer)
        try:
            found = await matched(pattern, answer, how=self.how, flags=self.flags, seconds=self.seconds)
        except Slow:
            why = f"{pattern!r} took longer than {self.seconds:g} s; possessive parts, a++ or (?>...), never go back"
            raise JudgeFailed(identity(self), why=why) from None
        evidence: dict[str, Any] = {"answer": shown(answer), "pattern": pattern}
        if found is not None:
            evidence |= {"found": shown(answer[found.start : found.end]), "at": found.start}
        return Verdict(value=float(found is not None), evidence=evidence)
