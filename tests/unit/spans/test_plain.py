"""Whatever a library puts into a span, the log can keep."""

import json
from enum import Enum, IntEnum, StrEnum

from hypothesis import given
from hypothesis import strategies as st

from agl_core.spans import plain


class Text(str):
    """A library's own kind of text."""

    __slots__ = ()


class Shy:
    """It raises when it is asked what it is."""

    def __str__(self) -> str:
        raise LookupError("who knows")


@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(),
            st.binary(),
            st.builds(Text, st.text()),
            st.builds(Shy),
        ),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.integers()),
    )
)
def test_what_comes_out_is_json(value):
    """Strictly: without NaN, and the same again when it is read."""
    told = plain(value)

    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_json_has_a_word_for_is_itself():
    """Nothing is turned into text that need not be."""
    value = {"a": [1, 2.5, True, None, "x"], "b": {"c": ()}}

    assert plain(value) == {"a": [1, 2.5, True, None, "x"], "b": {"c": []}}


class Colour(StrEnum):
    """Text, by a name."""

    RED = "red"


def test_an_enum_of_texts_or_numbers_is_its_value():
    """As those who write JSON have it; one of anything else is text."""
    told = plain([Colour.RED, IntEnum("Size", {"BIG": 3}).BIG, Enum("Kind", {"ODD": object()}).ODD])

    assert told == ["red", 3, "Kind.ODD"]


def test_what_holds_itself_ends():
    """As text, where it comes again; also when it holds itself many times."""
    circle: list = []
    circle += [circle, circle, {"again": circle}]

    assert plain(circle) == [str(circle), str(circle), {"again": str(circle)}]


def test_what_lies_very_deep_ends():
    """As text, at some depth."""
    deep: list = []
    for _ in range(500):
        deep = [deep]

    assert json.dumps(plain(deep))


def test_what_stands_in_two_places_is_told_in_both():
    """It does not hold itself."""
    shared = {"a": 1}

    assert plain([shared, shared]) == [{"a": 1}, {"a": 1}]
