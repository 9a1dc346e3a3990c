"""`exact_match`: what makes no difference is said, and nothing else is overlooked."""

from __future__ import annotations

import pytest

from agl_core.errors import ExpectedMissing
from agl_core.judges import ExactMatch


@pytest.mark.parametrize(
    ("options", "answer", "expected", "value"),
    [
        ({}, " Paris\n", "Paris", 1.0),
        ({}, "paris", "Paris", 0.0),
        ({"ignore_case": True}, "STRASSE", "straße", 1.0),
        ({"spaces": "keep"}, "Paris ", "Paris", 0.0),
        ({"spaces": "collapse"}, "New \n York", "New York", 1.0),
        ({}, "New  York", "New York", 0.0),
        ({"spaces": "drop"}, "N e w", "New", 1.0),
        ({"ignore_punctuation": True}, "Paris.", "Paris", 1.0),
        ({"ignore_articles": True, "ignore_case": True, "spaces": "collapse"}, "The cat", "cat", 1.0),
        ({}, "caf\u00e9", "cafe\u0301", 1.0),
        ({}, "4", 4, 1.0),
        ({}, "true", True, 1.0),
        ({}, "b", ["a", "b"], 1.0),
        ({}, "c", ["a", "b"], 0.0),
    ],
)
def test_an_answer_is_compared_as_it_is_said(rollout, options, answer, expected, value):
    """Of several that are expected, any."""
    assert ExactMatch(**options)(rollout(answer, task={"answer": expected})).value == value


@pytest.mark.parametrize("task", [{}, "text", {"answer": None}, {"answer": {"a": 1}}])
def test_a_task_that_expects_nothing_is_a_reason(rollout, task):
    """And no zero."""
    with pytest.raises(ExpectedMissing):
        ExactMatch()(rollout("4", task=task))


def test_the_evidence_says_what_was_compared(rollout):
    """Cut where it is long."""
    verdict = ExactMatch()(rollout("x" * 600, task={"answer": "y"}))

    assert verdict.evidence["expected"] == ["y"]
    assert verdict.evidence["answer"].endswith("... (600 characters)")
