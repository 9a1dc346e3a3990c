"""The answer has the number that was expected, near enough."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, ClassVar, Literal

from agl_core.errors import BadValue, ExpectedMissing
from agl_core.judges._answer import Answer, answer_of, check_answer
from agl_core.judges._expected import expected_of, shown
from agl_core.judges._judge import Verdict
from agl_core.projections import Trace

__all__ = ["Numeric"]

_SEPARATORS = {".": ",_'\u2019\u00a0\u2009\u202f", ",": "._'\u2019\u00a0\u2009\u202f"}
"""What may stand between thousands, by what stands before decimals. No plain blank: `2020 300` is two numbers."""
_MINUS = str.maketrans("\u2212\u2013", "--")
_LONGEST = 100
"""Characters of a number: arithmetic with more has no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric:
    """1 where the number in the answer is that of the task, or as near as told; else 0.

    Numbers are read as they are written, `1,234.5` and `1e-3`, and compared exactly: 0.1 + 0.2 is 0.3. Signs of
    currencies, per cent and units around them are passed over. Fractions are two numbers.
    """

    name: ClassVar[str] = "numeric"
    version: ClassVar[str] = "1"

    expected: str = "answer"
    """Where the task says which number is expected: a.b.c. Of a text there, its last number."""
    answer: Answer = "last"
    """Where the answer is: last, agent:NAME, message, object:PATH, annotation:KEY, or a template."""
    which: Literal["last", "first", "only"] = "last"
    """Of several numbers; with only, an answer with several is wrong."""
    tolerance: float = 0.0
    """So far off is right, in numbers."""
    relative: float = 0.0
    """So far off is right, as a share of what is expected; the wider of both counts."""
    unit: str = ""
    """The text that must stand right before or after the number, a blank between or not; none where it is empty."""
    decimal: Literal[".", ","] = "."
    """What stands before decimals; the other one may stand between thousands."""

    def __post_init__(self) -> None:
        check_answer(self.answer)
        for option in ("tolerance", "relative"):
            value = getattr(self, option)
            if not math.isfinite(value) or value < 0:
                raise BadValue(option, value, why="it is a number from 0")

    def __call__(self, trace: Trace) -> Verdict:
        """Pure."""
        wanted = self._wanted(expected_of(trace, self.expected))
        answer = answer_of(trace, self.answer)
        found = self._numbers(answer, self.unit)
        evidence: dict[str, Any] = {"answer": shown(answer), "expected": str(wanted), "numbers": len(found)}
        if not found or (self.which == "only" and len(found) > 1):
            return Verdict(value=0.0, evidence=evidence)
        number = found[0] if self.which == "first" else found[-1]
        margin = max(Decimal(str(self.tolerance)), Decimal(str(self.relative)) * abs(wanted))
        evidence |= {"found": str(number), "margin": str(margin)}
        return Verdict(value=float(abs(number - wanted) <= margin), evidence=evidence)

    def _wanted(self, value: Any) -> Decimal:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Decimal(str(value))
        found = self._numbers(value, "") if isinstance(value, str) else []
        if not found:
            raise ExpectedMissing(self.expected, why=f"there is no number in {value!r}")
        return found[-1]

    def _numbers(self, text: str, unit: str) -> list[Decimal]:
        found = []
        for match in _pattern(self.decimal).finditer(text.translate(_MINUS)):
            number = _number(match.group(), self.decimal)
            if number is not None and (not unit or _is_beside(unit, text[: match.start()], text[match.end() :])):
                found.append(number)
        return found


@cache
def _pattern(decimal: str) -> re.Pattern[str]:
    # Each part is possessive or of a bounded length, so that no text takes long.
    between, point = re.escape(_SEPARATORS[decimal]), re.escape(decimal)
    grouped = rf"\d{{1,3}}(?:[{between}]\d{{3}}(?!\d))++"
    return re.compile(
        rf"(?:(?<![\w)])-)?(?<![\w{point}])(?:(?:{grouped}|\d++)(?:{point}\d++)?|{point}\d++)(?:[eE][-+]?\d{{1,3}}(?!\w))?"
    )


def _number(text: str, decimal: str) -> Decimal | None:
    if len(text) > _LONGEST:
        return None
    plain = text.translate(str.maketrans("", "", _SEPARATORS[decimal])).replace(decimal, ".")
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None


def _is_beside(unit: str, before: str, after: str) -> bool:
    return after.lstrip().startswith(unit) or before.rstrip().endswith(unit)
