"""OpenAI chat to a model call and back: nothing is lost, and nothing makes the parser raise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.codec import Codec
from agl_core.events import CallRecorded, Choice, Message, ModelCall, Sampling, Tool, ToolCall, Usage
from agl_core.wire import error_code, openai_chat

REQUEST = {
    "model": "policy",
    "messages": [
        {"role": "system", "content": "Answer with a number."},
        {"role": "user", "content": [{"type": "text", "text": "2+2?"}], "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2'}, "index": 0},
                {"id": "c2", "type": "function", "function": {"name": "add", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "add", "description": "", "strict": True}},
        {"type": "function", "function": {"name": "sub", "description": "a - b", "parameters": {"type": "object"}}},
    ],
    "temperature": 1,
    "top_p": 0.9,
    "top_k": 5,
    "max_completion_tokens": 64,
    "stop": "\n",
    "seed": 3,
    "tool_choice": "auto",
    "n": 2,
}
RESPONSE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 12,
    "model": "policy",
    "system_fingerprint": "fp",
    "prompt_token_ids": [1, 2, 3],
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "4", "reasoning_content": "2 and 2"},
            "finish_reason": "stop",
            "stop_reason": None,
            "token_ids": [7, 2],
            "logprobs": {"content": [{"token": "4", "logprob": -0.5}, {"token": "", "logprob": -0.25}]},
        }
    ],
    "usage": {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1},
    },
}

texts = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def _or_anything(fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return fitting | json_values


def _objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these fields, each fitting or not, and others beside them."""
    known = st.fixed_dictionaries({}, optional={name: _or_anything(value) for name, value in fields.items()})
    return st.builds(lambda extra, said: {**extra, **said}, st.dictionaries(texts, json_values, max_size=2), known)


tool_calls = _objects(id=texts, type=st.just("function"), function=_objects(name=texts, arguments=texts))
messages = _objects(
    role=texts, content=texts, tool_calls=st.lists(tool_calls, max_size=2), tool_call_id=texts, name=texts
)
tools = _objects(
    type=st.just("function"),
    function=_objects(name=texts, description=texts, parameters=st.dictionaries(texts, json_values, max_size=2)),
)
requests = _objects(
    model=texts,
    messages=st.lists(messages, max_size=3),
    tools=st.lists(tools, max_size=2),
    temperature=st.floats(0, 2),
    max_tokens=st.integers(0, 99),
    max_completion_tokens=st.integers(0, 99),
    stop=texts | st.lists(texts, max_size=2),
    seed=st.integers(),
    logprobs=st.booleans(),
    return_token_ids=st.booleans(),
)
ids = st.lists(st.integers(0, 2**32 - 1), max_size=3)
choices = _objects(
    index=st.integers(0, 3),
    message=messages,
    finish_reason=texts,
    token_ids=ids,
    logprobs=_objects(content=st.lists(_objects(logprob=st.floats(-9, 0)), max_size=3)),
)
responses = _objects(
    id=texts,
    model=texts,
    choices=st.lists(choices, max_size=2),
    prompt_token_ids=ids,
    usage=_objects(prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9)),
)


def holds(whole: Any, part: Any) -> bool:
    """Everything `part` says, `whole` says too; what is more in it are fields."""
    if whole == part:
        return True
    match whole, part:
        case dict(), dict():
            return all(name in whole and holds(whole[name], value) for name, value in part.items())
        case list(), list():
            return len(whole) == len(part) and all(map(holds, whole, part))
    return False


@given(requests)
def test_a_request_keeps_every_field_it_came_with(body: dict[str, Any]):
    """Whatever JSON it is: parsed, and rendered again, it says all it said."""
    assert holds(openai_chat.render_request(openai_chat.request(body)), body)


@given(requests, responses)
def test_a_rendered_response_is_what_the_asker_saw(asked: dict[str, Any], body: dict[str, Any]):
    """So that a replay can answer from the log, in the shape the agent knows."""
    call = openai_chat.response(openai_chat.request(asked), body)

    assert holds(openai_chat.render_response(call), openai_chat.strip_capture(body, asked))


@given(requests, responses)
def test_parsing_what_was_rendered_gives_the_same_call(asked: dict[str, Any], body: dict[str, Any]):
    """A model call is one thing in two notations."""
    call = openai_chat.request(openai_chat.render_request(openai_chat.request(asked)))

    assert openai_chat.request(openai_chat.render_request(call)) == call


@given(requests, responses)
def test_a_call_of_any_payload_can_be_written_down(asked: dict[str, Any], body: dict[str, Any]):
    """What the parser lets through, the log can keep and give back."""
    call = openai_chat.response(openai_chat.request(asked), body)
    event = CallRecorded(call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", call=call, started_at=0, latency=0.0)

    written = Codec().encode(event)

    assert Codec().decode(written.type, written.schema, written.data, written.blobs.__getitem__) == event


def test_a_request_in_the_words_of_the_vocabulary():
    """Names for what has one; the rest stays beside it."""
    call = openai_chat.request(REQUEST)

    assert call.messages[1] == Message(role="user", content=[{"type": "text", "text": "2+2?"}], name="ann")
    assert call.messages[2].tool_calls[0] == ToolCall(id="c1", name="add", arguments='{"a": 2')
    assert call.messages[2].extra == {"refusal": None, "tool_calls": [{"index": 0}, {}]}
    assert call.tools == (
        Tool(name="add"),
        Tool(name="sub", description="a - b", parameters={"type": "object"}),
    )
    assert call.sampling == Sampling(temperature=1.0, top_p=0.9, top_k=5, max_tokens=64, seed=3, stop=("\n",))
    assert call.extra == {
        "tools": [{"function": {"description": "", "strict": True}}, {}],
        "max_completion_tokens": 64,
        "stop": "\n",
        "tool_choice": "auto",
        "n": 2,
    }
    assert openai_chat.render_request(call) == REQUEST


def test_a_response_in_the_words_of_the_vocabulary():
    """Tokens and their log-probabilities are kept, whether the asker wanted to see them or not."""
    call = openai_chat.response(openai_chat.request(REQUEST), RESPONSE)

    assert call.choices == (
        Choice(
            message=Message(role="assistant", content="4", extra={"reasoning_content": "2 and 2"}),
            finish_reason="stop",
            token_ids=(7, 2),
            logprobs=(-0.5, -0.25),
        ),
    )
    assert call.prompt_token_ids == (1, 2, 3)
    assert call.usage == Usage(prompt_tokens=3, completion_tokens=2)
    assert call.response_id == "chatcmpl-1"
    assert call.provenance == "engine"


def test_who_asked_for_everything_sees_everything():
    """Capture takes nothing away that was asked for."""
    asked = openai_chat.add_capture(REQUEST)

    assert openai_chat.strip_capture(RESPONSE, asked) == RESPONSE
    assert openai_chat.render_response(openai_chat.response(openai_chat.request(asked), RESPONSE)) == RESPONSE


def test_who_did_not_ask_sees_what_others_see():
    """The reply has the shape of a provider's that was not asked either, and the original is left alone."""
    shown = openai_chat.strip_capture(RESPONSE, REQUEST)

    assert "prompt_token_ids" not in shown
    assert "token_ids" not in shown["choices"][0]
    assert shown["choices"][0]["logprobs"] is None
    assert RESPONSE["choices"][0]["token_ids"] == [7, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt_token_ids": None},
        {"prompt_token_ids": [1, -1]},
        {"prompt_token_ids": [1, 2**32]},
        {"prompt_token_ids": ["1"]},
        {"choices": []},
        {"choices": [{**RESPONSE["choices"][0], "token_ids": None}]},
    ],
)
def test_token_ids_that_are_not_whole_are_absent(changes: dict[str, Any]):
    """Half of the truth is not trained on."""
    call = openai_chat.response(ModelCall(model="policy"), {**RESPONSE, **changes})

    assert call.provenance == "absent"


def test_logprobs_of_another_length_are_left_out():
    """One for each sampled id, or none."""
    choice = {**RESPONSE["choices"][0], "token_ids": [7]}

    call = openai_chat.response(ModelCall(model="policy"), {**RESPONSE, "choices": [choice]})

    assert call.choices[0].token_ids == (7,)
    assert call.choices[0].logprobs == ()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"error": {"code": "context_length_exceeded", "message": "too long"}}, "context_length_exceeded"),
        (400, {"message": "This model's maximum context length is 4 tokens", "code": 400}, "context_length_exceeded"),
        (429, {"error": {"code": None, "type": "rate_limit"}}, "rate_limit"),
        (500, {"error": "boom"}, "http_500"),
        (502, None, "http_502"),
        (503, [], "http_503"),
    ],
)
def test_an_error_has_one_stable_word(status: int, body: Any, code: str):
    """The provider's own where it has one."""
    assert error_code(status, body) == code
