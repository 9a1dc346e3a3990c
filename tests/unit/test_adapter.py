"""Drift: what training on text would have got wrong, of the tokens that were sampled; and what is taken for credit."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.adapter import Adapted, Earned, drift
from agl_core.errors import BadValue

WORDS = ["a", "b", "ab", "\ufffd"]
ANSWERS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1)


def decode(ids):
    """Two tokens may say what a third says alone."""
    return "".join(WORDS[id_] for id_ in ids)


def encode(text):
    """The longest word first, as byte pairs do."""
    ids = []
    while text:
        word = max((word for word in WORDS if text.startswith(word)), key=len)
        ids.append(WORDS.index(word))
        text = text[len(word) :]
    return ids


@given(ANSWERS)
def test_an_answer_drifts_where_two_tokens_read_as_one(answers):
    """`a` before `b` is the one thing that this vocabulary writes otherwise."""
    expected = [(0, 1) in pairwise(ids) for ids in answers]

    assert drift(answers, decode=decode, encode=encode) == sum(expected) / len(answers)


def test_nothing_sampled_is_nothing_drifted():
    """A batch may be empty."""
    assert drift([], decode=decode, encode=encode) == 0


def test_rows_of_another_adapter_are_no_credit():
    """A number that is looked for in a row of something else is a mistake of who named it, and told so."""

    def other(_traces):
        return Adapted(rows=("a row",), kept=1)

    with pytest.raises(BadValue, match="its rows are no credits"):
        Earned.by(other, [])
