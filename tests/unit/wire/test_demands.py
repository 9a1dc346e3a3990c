"""What an agent demands of an answer is demanded of whoever answers, in whichever dialect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.wire import anthropic_messages, openai_chat, openai_responses

SCHEMA = {"type": "object", "properties": {"total": {"type": "integer"}}}
CHAT: dict[str, Any] = {
    "model": "policy",
    "messages": [{"role": "user", "content": "2+2?"}],
    "tools": [{"type": "function", "function": {"name": "add", "parameters": SCHEMA}}],
}
RESPONSES: dict[str, Any] = {
    "model": "policy",
    "input": "2+2?",
    "tools": [{"type": "function", "name": "add", "parameters": SCHEMA, "strict": False}],
}
MESSAGES: dict[str, Any] = {
    "model": "policy",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "2+2?"}],
    "tools": [{"name": "add", "input_schema": SCHEMA}],
}
ASKED = {openai_chat: CHAT, openai_responses: RESPONSES, anthropic_messages: MESSAGES}
FIELDS = ("tool_choice", "parallel_tool_calls", "response_format", "text", "output_config")
FORM = {"name": "answer", "strict": True, "schema": SCHEMA}
FORMED = (
    {"response_format": {"type": "json_schema", "json_schema": FORM}},
    {"text": {"format": {"type": "json_schema", **FORM}}},
    {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
)
SAME: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"tool_choice": "required"}, {"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
    ({"tool_choice": "none"}, {"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
    (
        {"tool_choice": {"type": "function", "function": {"name": "add"}}},
        {"tool_choice": {"type": "function", "name": "add"}},
        {"tool_choice": {"type": "tool", "name": "add"}},
    ),
    (
        {"parallel_tool_calls": False},
        {"parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    (
        {"tool_choice": "required", "parallel_tool_calls": False},
        {"tool_choice": "required", "parallel_tool_calls": False},
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ),
    FORMED,
]


def told(body: dict[str, Any], of: Any, to: Any) -> dict[str, Any]:
    """The demands of a request, in another dialect."""
    rendered = to.render_request(of.request(body))
    return {name: rendered[name] for name in FIELDS if name in rendered}


@pytest.mark.parametrize("same", SAME, ids=["any", "none", "one", "in turn", "any, in turn", "form"])
@pytest.mark.parametrize("of", ASKED, ids=lambda dialect: dialect.NAME)
@pytest.mark.parametrize("to", ASKED, ids=lambda dialect: dialect.NAME)
def test_a_demand_is_said_in_the_words_of_the_other(of: Any, to: Any, same: tuple[dict[str, Any], ...]):
    """From each dialect to each, its own included."""
    demanded = dict(zip(ASKED, same, strict=True))

    assert told(ASKED[of] | demanded[of], of, to) == demanded[to]


@pytest.mark.parametrize("to", [openai_responses, anthropic_messages], ids=lambda dialect: dialect.NAME)
@pytest.mark.parametrize("usual", [{"tool_choice": "auto"}, {"parallel_tool_calls": True}, {"response_format": None}])
def test_what_is_the_default_anyway_is_not_said(to: Any, usual: dict[str, Any]):
    """Some engines refuse fields that change nothing."""
    assert told(CHAT | usual, openai_chat, to) == {}


@pytest.mark.parametrize("to", [openai_responses, anthropic_messages], ids=lambda dialect: dialect.NAME)
def test_of_tools_that_are_not_there_nothing_is_demanded(to: Any):
    """Providers refuse it; a form is demanded all the same."""
    body = {name: value for name, value in CHAT.items() if name != "tools"}
    demanded = {"tool_choice": "required", "parallel_tool_calls": False, **FORMED[0]}

    assert told(body | demanded, openai_chat, to) == dict(zip(ASKED, FORMED, strict=True))[to]


def test_any_json_is_demanded_where_that_can_be():
    """Anthropic has forms with a schema alone."""
    body = CHAT | {"response_format": {"type": "json_object"}}

    assert told(body, openai_chat, openai_responses) == {"text": {"format": {"type": "json_object"}}}
    assert told(body, openai_chat, anthropic_messages) == {}


@pytest.mark.parametrize("of", ASKED, ids=lambda dialect: dialect.NAME)
def test_a_demand_that_only_one_dialect_knows_stays_there(of: Any):
    """It is in its own, and in no other."""
    body = ASKED[of] | {"tool_choice": {"type": "allowed_tools", "tools": []}, "text": {"verbosity": "low"}}

    for to in ASKED:
        assert told(body, of, to) == (told(body, of, of) if to is of else {})


words = st.sampled_from(["none", "required", "auto", "any", "tool", "function", "json_schema", "json_object"])
names = st.sampled_from(["type", "name", "function", "format", "json_schema", "schema", "disable_parallel_tool_use"])
json_values = st.recursive(
    st.none() | st.booleans() | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
dialects = st.sampled_from(list(ASKED))


@given(st.dictionaries(st.sampled_from(FIELDS), json_values), dialects, dialects)
def test_a_demand_of_any_make_is_read(demanded: dict[str, Any], of: Any, to: Any):
    """No parser raises, and what was said elsewhere means there what it meant here."""
    there = to.render_request(of.request(ASKED[of] | demanded))

    back = of.render_request(to.request(there))

    again = to.render_request(of.request(back))
    assert [again.get(name) for name in FIELDS] == [there.get(name) for name in FIELDS]
