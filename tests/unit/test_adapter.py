"""Drift: what training on text would have got wrong, said of the tokens that were sampled."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agl_core.adapter import drift

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
