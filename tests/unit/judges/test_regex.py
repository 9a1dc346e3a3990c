"""`regex`: Python's own, in a process that can be ended."""

from __future__ import annotations

import asyncio

import pytest

from agl_core.errors import BadValue, ExpectedMissing, JudgeFailed
from agl_core.judges import Regex, verdicts
from agl_core.judges._matching import worst


def judged(judge, trace):
    """Its one verdict."""
    (verdict,) = asyncio.run(verdicts(judge, trace))
    return verdict


@pytest.mark.parametrize(
    ("options", "answer", "value"),
    [
        ({"pattern": r"\d+"}, "It is 42.", 1.0),
        ({"pattern": r"\d+"}, "none", 0.0),
        ({"pattern": r"\d+", "how": "match"}, "It is 42.", 0.0),
        ({"pattern": r"\d+", "how": "fullmatch"}, "42", 1.0),
        ({"pattern": r"^it", "flags": "im"}, "So\nIT is", 1.0),
        ({"expected": "wanted"}, "ab", 1.0),
        ({"pattern": "é+"}, "éé", 1.0),
    ],
)
def test_a_pattern_is_looked_for(rollout, options, answer, value):
    """In the answer, as `re` does it; one of the task's own, too."""
    assert judged(Regex(**options), rollout(answer, task={"wanted": "a(b)"})).value == value


def test_the_evidence_says_what_was_found(rollout):
    """And where."""
    evidence = judged(Regex(pattern=r"\d+"), rollout("It is 42.")).evidence

    assert (evidence["found"], evidence["at"]) == ("42", 6)


@pytest.mark.parametrize(
    ("pattern", "length", "is_short"),
    [
        (r"\b42\b", 10_000, True),
        (r"Answer: (\w+)", 3_000, True),
        (r"Answer: (\w+)", 4_000, False),
        (r"[*+?|]{3}", 3_000, True),
        (r"\(\*\)\+", 1_000_000, True),
        (r"^\s*(\d+)\s*$", 50, True),
        (r"^\s*(\d+)\s*$", 500, False),
        (r"(a+)+$", 2, False),
        (r"(?:a|aa){2}", 2, False),
        (r"(.)\1", 2, False),
        (r"(?ix)(a+) +$", 2, False),
        (r"(?P<a>.)(?P=a)", 2, False),
        ("a?" * 30 + "a" * 30, 30, False),
        ("(a|b|ab)" * 30, 30, False),
        ("x" * 5_000 + "*", 10, True),
        ("a?" * 5_000, 10, False),
    ],
)
def test_what_cannot_take_long_is_matched_at_once(pattern, length, is_short):
    """Seen from its repetitions, its alternatives, and the length of the text; whatever is doubtful is not."""
    assert (worst(pattern, length) <= 10_000_000) is is_short


def test_both_ways_of_matching_find_the_same(rollout):
    """At once, and in a process of its own."""
    found = [
        judged(Regex(pattern=pattern, flags="i"), rollout("It is 42, AS SAID.")).evidence
        for pattern in (r"(\d)\d, as", r"(?:\d)+, as")
    ]

    assert [(one["found"], one["at"]) for one in found] == [("42, AS", 6)] * 2


def test_a_pattern_that_takes_for_ever_is_ended(rollout):
    """That is a reason: nobody knows whether it would have matched."""
    judge = Regex(pattern="(a+)+$", seconds=0.5)

    with pytest.raises(JudgeFailed, match=r"took longer than 0\.5 s"):
        judged(judge, rollout("a" * 64 + "b"))


@pytest.mark.parametrize("options", [{"pattern": "("}, {"pattern": "a", "flags": "q"}, {"pattern": "a", "seconds": 0}])
def test_what_cannot_be_is_refused_when_the_judge_is_made(options):
    """With the name of the option."""
    with pytest.raises(BadValue):
        Regex(**options)


def test_a_task_without_a_pattern_is_a_reason(rollout):
    """And no zero."""
    with pytest.raises(ExpectedMissing):
        judged(Regex(), rollout("x", task={}))
