"""A streamed chat completion is the completion it would have been, however it is cut, and wherever it breaks off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.wire import openai_chat
from agl_core.wire.dialect import Dialect
from agl_core.wire.sse import Events, said

_dialect: Dialect = openai_chat
CAPTURED = {"return_token_ids": True, "logprobs": True, "stream_options": {"include_usage": True}}


def chunk(delta: dict[str, Any] | None = None, *, index: int = 0, **choice: Any) -> dict[str, Any]:
    """One chunk with one choice."""
    whole = {"index": index, "delta": delta or {}, "finish_reason": None, **choice}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "policy", "choices": [whole]}


def logprobs(*entries: tuple[str, float]) -> dict[str, Any]:
    """As vLLM says them of the tokens of a chunk."""
    return {"content": [{"token": token, "logprob": number} for token, number in entries]}


TEXT = [
    {**chunk({"role": "assistant", "content": ""}), "prompt_token_ids": [1, 2, 3]},
    chunk({"content": "fo"}, token_ids=[7], logprobs=logprobs(("fo", -0.5))),
    chunk({"content": "ur"}, token_ids=[8, 2], logprobs=logprobs(("ur", -0.25), ("", -0.125))),
    chunk(finish_reason="stop"),
    {**chunk(), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}},
]
TOOLS = [
    chunk({"role": "assistant", "content": None}),
    chunk({"tool_calls": [{"index": 0, "id": "t0", "type": "function", "function": {"name": "add", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
    chunk(
        {"tool_calls": [{"index": 1, "id": "t1", "type": "function", "function": {"name": "sub", "arguments": "{}"}}]}
    ),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
    chunk(finish_reason="tool_calls"),
]


def stream(chunks: list[dict[str, Any]]) -> bytes:
    """The bytes of the chunks, and of the mark of the end."""
    return b"".join([*(said(one) for one in chunks), said("[DONE]")])


def assembled(content: bytes, asked: dict[str, Any]) -> tuple[Any, bytes]:
    """What came of it, and what the asker saw."""
    assembly = openai_chat.assembly(asked)
    shown = b"".join(assembly.add(event) for event in Events().feed(content))
    return assembly, shown


def test_a_stream_becomes_the_completion():
    """Text grows, ids and log-probabilities follow each other, usage is the last word."""
    assembly, shown = assembled(stream(TEXT), CAPTURED)

    assert assembly.is_whole
    assert shown == stream(TEXT)
    assert assembly.body() == {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "policy",
        "prompt_token_ids": [1, 2, 3],
        "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "four"},
                "finish_reason": "stop",
                "token_ids": [7, 8, 2],
                "logprobs": logprobs(("fo", -0.5), ("ur", -0.25), ("", -0.125)),
            }
        ],
    }


def test_tool_calls_side_by_side_are_told_apart():
    """By their index; the index is the stream's, not the call's."""
    assembly, _ = assembled(stream(TOOLS), CAPTURED)

    assert assembly.body()["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "t0", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
            {"id": "t1", "type": "function", "function": {"name": "sub", "arguments": "{}"}},
        ],
    }


def test_several_choices_grow_side_by_side():
    """`n = 2`, in any order."""
    chunks = [chunk({"content": text}, index=index) for index, text in ((1, "a"), (0, "b"), (1, "c"))]
    ends = [chunk(index=0, finish_reason="stop"), chunk(index=1, finish_reason="length")]

    assembly, _ = assembled(stream([*chunks, *ends]), {})

    found = assembly.body()["choices"]
    assert [(one["message"]["content"], one["finish_reason"]) for one in found] == [("b", "stop"), ("ac", "length")]


@pytest.mark.parametrize("message", [{"role": "assistant", "content": "ba"}, "no", None])
def test_a_message_said_whole_at_the_end_is_not_said_twice(message):
    """Some servers repeat it with the reason to end; what is no message is none."""
    chunks = [chunk({"role": "assistant", "content": "b"}), chunk({"content": "a"})]

    assembly, _ = assembled(stream([*chunks, chunk(finish_reason="stop", message=message)]), {})

    assert assembly.body()["choices"][0]["message"] == {"role": "assistant", "content": "ba"}


def test_the_asker_sees_what_was_asked_for_and_no_more():
    """Ids, log-probabilities and usage were the recorder's wish."""
    assembly, shown = assembled(stream(TEXT), {})

    chunks = [event.json() for event in Events().feed(shown) if event.data != "[DONE]"]
    assert len(chunks) == 4
    assert all("usage" not in one and "prompt_token_ids" not in one for one in chunks)
    assert all("token_ids" not in one["choices"][0] and not one["choices"][0].get("logprobs") for one in chunks)
    assert assembly.body()["choices"][0]["token_ids"] == [7, 8, 2]


def test_an_asker_of_everything_gets_the_very_bytes():
    """Nothing is written anew that nobody has to be spared."""
    _, shown = assembled(stream(TOOLS), {})

    assert shown == stream(TOOLS)


@pytest.mark.parametrize("asked", [{}, {"return_token_ids": True}, {"logprobs": True}, CAPTURED], ids=str)
def test_a_recorded_answer_is_streamed_as_it_was_asked(asked):
    """Rendered, and put together again, it is the answer its asker saw."""
    assembly, _ = assembled(stream(TEXT), CAPTURED)
    call = openai_chat.response(openai_chat.request({"model": "policy", "messages": [], **asked}), assembly.body())

    events = openai_chat.render_stream(call)

    again, _ = assembled(b"".join(events), CAPTURED)
    expected = openai_chat.render_response(call)
    if not asked.get("stream_options"):
        expected.pop("usage")
    assert again.is_whole
    assert again.body() == expected


def test_a_stream_says_what_went_wrong_in_it():
    """An error in the middle is no end."""
    assembly, shown = assembled(said(TEXT[0]) + openai_chat.broken("upstream_broken", "it hung up"), {})

    assert assembly.error == "upstream_broken"
    assert not assembly.is_whole
    assert b"it hung up" in shown


@given(st.integers(0, len(stream(TEXT))))
def test_a_stream_that_breaks_off_leaves_what_had_come(cut):
    """Anywhere, even inside a chunk."""
    assembly, _ = assembled(stream(TEXT)[:cut], CAPTURED)

    call = openai_chat.response(openai_chat.request({"model": "policy"}), assembly.body())

    said_so_far = "".join(choice.message.content or "" for choice in call.choices)
    assert "four".startswith(said_so_far)
    ids = [id_ for choice in call.choices for id_ in choice.token_ids]
    assert ids == [7, 8, 2][: len(ids)]
    assert all(len(choice.logprobs) == len(choice.token_ids) for choice in call.choices)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["id", "index", "delta", "content", "tool_calls", "logprobs", "token_ids", "finish_reason"])
chunks = st.dictionaries(
    st.sampled_from(["choices", "usage", "error", "id", "prompt_token_ids"]),
    json_values
    | st.lists(st.dictionaries(names, json_values | st.dictionaries(names, json_values, max_size=3)), max_size=3),
    max_size=3,
)


@given(st.lists(chunks, max_size=3))
def test_no_chunk_makes_it_raise(found):
    """Whatever is in them."""
    assembly, _ = assembled(b"".join(said(json.dumps(one)) for one in found), {})

    openai_chat.response(openai_chat.request({}), assembly.body())
