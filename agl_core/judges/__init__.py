"""Judges: a trace in, verdicts out. What is not judged has a reason, and never a zero."""

from __future__ import annotations

from agl_core.asking import Said
from agl_core.judges._answer import Answer, answer_of
from agl_core.judges._asking import Asking
from agl_core.judges._exact_match import ExactMatch
from agl_core.judges._expected import expected_of
from agl_core.judges._json_schema import JsonSchema
from agl_core.judges._judge import (
    Ask,
    AskingJudge,
    Judge,
    Verdict,
    asks,
    identity,
    options,
    verdicts,
)
from agl_core.judges._llm import Llm
from agl_core.judges._numeric import Numeric
from agl_core.judges._regex import Regex
from agl_core.judges._sitting import Sat, Seat, Sitting, why_not

__all__ = [
    "Answer",
    "Ask",
    "Asking",
    "AskingJudge",
    "ExactMatch",
    "JsonSchema",
    "Judge",
    "Llm",
    "Numeric",
    "Regex",
    "Said",
    "Sat",
    "Seat",
    "Sitting",
    "Verdict",
    "answer_of",
    "asks",
    "expected_of",
    "identity",
    "options",
    "verdicts",
    "why_not",
]
