"""`numeric`: numbers as people write them, compared exactly."""

from __future__ import annotations

import time

import pytest

from agl_core.errors import BadValue, ExpectedMissing
from agl_core.judges import Numeric


@pytest.mark.parametrize(
    ("options", "answer", "expected", "value"),
    [
        ({}, "The answer is 1,234.50 dollars.", 1234.5, 1.0),
        ({}, "First 3, then 4.", 4, 1.0),
        ({"which": "first"}, "First 3, then 4.", 3, 1.0),
        ({"which": "only"}, "First 3, then 4.", 4, 0.0),
        ({"which": "only"}, "It is $4.", 4, 1.0),
        ({}, "\u22125 degrees", -5, 1.0),
        ({}, "from 3-5", 5, 1.0),
        ({}, "1e-3", 0.001, 1.0),
        ({}, "0.3", 0.1 + 0.2, 0.0),
        ({"tolerance": 1e-9}, "0.3", 0.1 + 0.2, 1.0),
        ({"tolerance": 0.01}, "3.15", 3.14, 1.0),
        ({"tolerance": 0.01}, "3.151", 3.14, 0.0),
        ({"relative": 0.1}, "110", 100, 1.0),
        ({"relative": 0.1}, "-111", -100, 0.0),
        ({"decimal": ","}, "1.234,5 Euro", 1234.5, 1.0),
        ({"unit": "km"}, "5 km, not 8 miles", 5, 1.0),
        ({"unit": "$"}, "It costs $ 5 for 8 days", 5, 1.0),
        ({"unit": "km"}, "8 miles", 8, 0.0),
        ({}, "50%", "50 %", 1.0),
        ({}, "1'000'000", "#### 1,000,000", 1.0),
        ({}, "in 2020 300 people", 300, 1.0),
        ({}, "abc12", 12, 0.0),
        ({}, "no number", 1, 0.0),
        ({}, "", 1, 0.0),
        ({}, "9" * 150, 9, 0.0),
    ],
)
def test_the_number_in_the_answer_counts(rollout, options, answer, expected, value):
    """A good one is near enough; an answer without one is wrong."""
    assert Numeric(**options)(rollout(answer, task={"answer": expected})).value == value


@pytest.mark.parametrize("expected", [None, "none", True, [1], {}])
def test_a_task_without_a_number_is_a_reason(rollout, expected):
    """And no zero."""
    with pytest.raises(ExpectedMissing):
        Numeric()(rollout("4", task={"answer": expected}))


@pytest.mark.parametrize("options", [{"tolerance": -1.0}, {"relative": float("nan")}, {"tolerance": float("inf")}])
def test_a_tolerance_is_a_number_from_zero(options):
    """Refused when the judge is made."""
    with pytest.raises(BadValue):
        Numeric(**options)


@pytest.mark.parametrize("text", ["1" * 200_000, "1,111" * 50_000, "1.1" * 50_000, "1," * 100_000, "-" * 200_000])
def test_no_text_takes_long(rollout, text):
    """Whatever the policy writes: the time grows with its length, and no faster."""
    began = time.process_time()

    Numeric()(rollout(text, task={"answer": 1}))

    assert time.process_time() - began < 5
