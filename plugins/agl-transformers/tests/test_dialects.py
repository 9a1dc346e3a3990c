"""Tool calls, out of text and into it."""

from __future__ import annotations

import json

import pytest
from agl_transformers._dialects import Hermes
from hypothesis import given
from hypothesis import strategies as st

hermes = Hermes()


def test_a_call_is_read_byte_for_byte():
    """Odd spaces in the arguments stay, so that the next prompt can say what the model said."""
    said, calls = hermes.read('<tool_call>{"name": "add", "arguments": {"a":  1,"b" : "é"}}</tool_call>')

    assert said == ""
    assert [(call.name, bytes(call.arguments).decode()) for call in calls] == [("add", '{"a":  1,"b" : "é"}')]


def test_several_calls_and_words_are_told_apart():
    """Words around calls stay words."""
    said, calls = hermes.read(
        'first <tool_call>\n{"name": "a", "arguments": {}}\n</tool_call> then <tool_call>{"name": "b"}</tool_call>'
    )

    assert said == "first  then "
    assert [(call.name, bytes(call.arguments)) for call in calls] == [("a", b"{}"), ("b", b"{}")]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>{",
        "<tool_call>{}</tool_call>",
        '<tool_call>{"name": "a", "arguments": {}',
        '<tool_call>{"name": "a", "arguments": 3}</tool_call>',
        '<tool_call>{"name": "a", "arguments": {"x": }}</tool_call>',
        '<tool_call>{"name": 3, "arguments": {}}</tool_call>',
        "<tool_call>\ud800</tool_call>",
    ],
)
def test_a_call_that_does_not_parse_is_said(text):
    """It is content, and nothing raises."""
    assert hermes.read(text) == (text, [])


@given(st.text() | st.text('<>/_acdefglmnort{}":, '))
def test_nothing_raises(text):
    """Whatever a model writes."""
    said, calls = hermes.read(text)

    assert calls or said == text


@given(st.lists(st.tuples(st.text(min_size=1), st.dictionaries(st.text(), st.integers() | st.text()))))
def test_what_is_written_is_read(calls):
    """For templates that leave calls out, the engine writes what it would read."""
    given_calls = [{"function": {"name": name, "arguments": json.dumps(arguments)}} for name, arguments in calls]

    _, read = hermes.read(hermes.write(given_calls))

    assert [(call.name, json.loads(bytes(call.arguments))) for call in read] == calls


def test_tools_are_described_by_their_schema():
    """Each on a line of its own between the tags."""
    described = hermes.describe([{"function": {"name": "add"}}, {"function": {"name": "take"}}])

    assert described.count('"name"') == 3
    assert '<tools>\n{"function": {"name": "add"}}\n{"function": {"name": "take"}}\n</tools>' in described
