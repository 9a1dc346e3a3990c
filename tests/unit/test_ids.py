"""Names for what happens are unique; names for what is come from what it is."""

import re

import pytest
from hypothesis import given

from agl_core.errors import BadValue
from agl_core.ids import canonical, content_id, digest, new_id, task_id, ulid
from agl_core.testing import strategies


def test_ulids_are_unique_and_lower_case():
    """26 characters of Crockford's alphabet."""
    made = {ulid() for _ in range(1000)}

    assert len(made) == 1000
    assert all(re.fullmatch("[0-7][0-9a-hjkmnp-tv-z]{25}", one) for one in made)


def test_ulids_of_later_milliseconds_are_greater(monkeypatch):
    """So that a list of ids reads in the order of time."""
    monkeypatch.setattr("agl_core.ids.time.time_ns", lambda: 1_700_000_000_000_000_000)
    before = ulid()
    monkeypatch.setattr("agl_core.ids.time.time_ns", lambda: 1_700_000_000_001_000_000)

    assert ulid() > before


def test_an_id_says_what_it_names():
    """The prefix stands before the ULID."""
    assert re.fullmatch("ro-[0-9a-z]{26}", new_id("ro"))


@given(strategies.json_values())
def test_equal_values_have_equal_bytes(value):
    """Whatever the order in which a dictionary was filled."""
    turned = dict(reversed(value.items())) if isinstance(value, dict) else value

    assert canonical(turned) == canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object(), "\ud800"])
def test_what_is_no_json_has_no_bytes(value):
    """Refused with a code, before anything is written."""
    with pytest.raises(BadValue):
        canonical(value)


def test_a_value_too_deep_for_json_is_refused():
    """With a code, as any other."""
    deep = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(BadValue):
        canonical({"deep": deep})


def test_canonical_json_is_utf8_without_spaces():
    """Bytes that another implementation can make too."""
    assert canonical({"b": [1, None, True], "a": "ü"}) == '{"a":"ü","b":[1,null,true]}'.encode()


def test_a_blob_is_named_by_its_bytes():
    """blake2b, 256 bits, with a tag that says so."""
    assert content_id(b"abc") == f"b2:{digest(b'abc')}"
    assert digest(b"abc") == "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"


def test_equal_tasks_have_equal_ids():
    """Tasks are known by what they ask."""
    assert task_id({"a": 1, "b": 2}) == task_id({"b": 2, "a": 1})
    assert task_id({"a": 1}) != task_id({"a": 2})
    assert re.fullmatch("ta-[0-9a-f]{32}", task_id("x"))
