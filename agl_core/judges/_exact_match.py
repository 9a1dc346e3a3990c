"""The answer is what was expected, letter by letter, after what is said to make no difference."""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from agl_core.errors import ExpectedMissing
from agl_core.judges._answer import Answer, answer_of, check_answer
from agl_core.judges._expected import expected_of, shown
from agl_core.judges._judge import Verdict
from agl_core.projections import Trace

__all__ = ["ExactMatch"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatch:
    """1 where the answer is one of those expected, else 0. Both are brought to Unicode's NFC first."""

    name: ClassVar[str] = "exact_match"
    version: ClassVar[str] = "1"

    expected: str = "answer"
    """Where the task says what is expected: a.b.c. A list there means any of these."""
    answer: Answer = "last"
    """Where the answer is: last, agent:NAME, message, object:PATH, annotation:KEY, or a template."""
    spaces: Literal["keep", "trim", "collapse", "drop"] = "trim"
    """White space: all of it matters, not at the ends, any is one blank, or none matters."""
    ignore_case: bool = False
    """Upper and lower case are the same."""
    ignore_punctuation: bool = False
    """ASCII punctuation is left out."""
    ignore_articles: bool = False
    """English a, an and the are left out; with ignore_case, in any case."""

    def __post_init__(self) -> None:
        check_answer(self.answer)

    def __call__(self, trace: Trace) -> Verdict:
        """Pure."""
        wanted = expected_of(trace, self.expected)
        candidates = [self._text(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
        answer = answer_of(trace, self.answer)
        is_same = self._plain(answer) in {self._plain(one) for one in candidates}
        evidence = {"answer": shown(answer), "expected": [shown(one) for one in candidates]}
        return Verdict(value=float(is_same), evidence=evidence)

    def _text(self, value: Any) -> str:
        match value:
            case str():
                return value
            case bool():
                return str(value).lower()
            case int() | float():
                return str(value)
        raise ExpectedMissing(self.expected, why="it is neither text nor a number, nor a list of those")

    def _plain(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text)
        if self.ignore_case:
            text = text.casefold()
        if self.ignore_punctuation:
            text = text.translate(_PUNCTUATION)
        if self.ignore_articles:
            text = _ARTICLES.sub(" ", text)
        match self.spaces:
            case "trim":
                return text.strip()
            case "collapse":
                return " ".join(text.split())
            case "drop":
                return "".join(text.split())
        return text
