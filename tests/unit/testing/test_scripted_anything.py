"""The test double under any request and any answer: it never breaks by itself, and both modes say the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked, ScriptedModel

ROUTES = (
    "chat/completions",
    "completions",
    "responses",
    "embeddings",
    "messages",
    "messages/count_tokens",
)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"]) | json_values},
        optional={
            "content": json_values | st.lists(st.fixed_dictionaries({"type": texts}), max_size=2),
            "tool_calls": json_values,
            "reasoning_content": json_values,
            "type": st.sampled_from(["message", "reasoning", "function_call", "function_call_output"]),
        },
    ),
    min_size=1,
    max_size=3,
)
bodies = st.fixed_dictionaries(
    {"model": st.just("policy")},
    optional={
        "messages": messages | json_values,
        "prompt": texts | st.lists(texts) | st.lists(st.integers()) | json_values,
        "input": texts | messages | json_values,
        "stream": st.booleans() | json_values,
        "n": st.integers(-1, 3) | json_values,
        "logprobs": st.booleans() | st.integers(0, 3) | json_values,
        "return_token_ids": st.booleans() | json_values,
        **dict.fromkeys(["max_tokens", "max_completion_tokens", "max_output_tokens"], st.integers(-1, 9) | json_values),
        **dict.fromkeys(
            ["stream_options", "system", "instructions", "reasoning", "include", "top_logprobs", "dimensions"],
            json_values,
        ),
        **dict.fromkeys(["encoding_format", "previous_response_id", "metadata", "tools", "text"], json_values),
    },
)
pieces = st.lists(texts, max_size=4)
calls = st.lists(st.builds(ToolCall, id=texts, name=texts, arguments=texts), max_size=2)
answers = st.builds(
    lambda pieces, reasoning, refusal, calls: Answer(
        text="".join(pieces), pieces=pieces, reasoning=reasoning, refusal=refusal, tool_calls=tuple(calls)
    ),
    pieces,
    texts,
    texts,
    calls,
)


def sent(answer: Answer, route: str, body: dict[str, Any]) -> tuple[int, bytes]:
    """What the model replies, without a server between."""
    reply = ScriptedModel(answer)._reply(Asked(body=body, headers={}, path=f"/v1/{route}"))
    return reply.status, b"".join(reply.pieces)


def data(stream: bytes) -> list[dict[str, Any]]:
    """What the events of a stream say."""
    lines = [line for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


@given(st.sampled_from(ROUTES), bodies, answers)
def test_any_request_is_answered_or_refused(route: str, body: dict[str, Any], answer: Answer):
    """Whatever JSON it is, it never ends a connection, and it is never called the script's mistake."""
    status, _ = sent(answer, route, body)

    assert status in {200, 400}


@given(answers, st.none() | st.integers(1, 60), st.integers(1, 3))
def test_a_streamed_chat_has_the_tokens_and_the_text_of_the_whole_one(answer: Answer, limit: int | None, count: int):
    """However it is cut, by its pieces or by a limit."""
    asked = {"messages": [{"role": "user", "content": "?"}], "logprobs": True, "return_token_ids": True}
    body = {"model": "policy", "n": count, "max_tokens": limit, **asked}

    whole = json.loads(sent(answer, "chat/completions", body)[1])
    chunks = [chunk["choices"][0] for chunk in data(sent(answer, "chat/completions", {**body, "stream": True})[1])]

    for choice in whole["choices"]:
        mine = [chunk for chunk in chunks if chunk["index"] == choice["index"]]
        assert [id_ for chunk in mine for id_ in chunk.get("token_ids", ())] == choice["token_ids"]
        logprobs = [one for chunk in mine for one in (chunk["logprobs"] or {}).get("content", ())]
        assert logprobs == choice["logprobs"]["content"]
        for name in ("content", "reasoning_content", "refusal"):
            said = "".join(chunk["delta"].get(name) or "" for chunk in mine)
            assert said == (choice["message"].get(name) or "")
        assert mine[-1]["finish_reason"] == choice["finish_reason"]


@given(answers, st.none() | st.integers(1, 60))
def test_the_last_event_of_a_response_is_the_whole_one(answer: Answer, limit: int | None):
    """All else in the stream leads up to it."""
    body = {"model": "policy", "input": "?", "max_output_tokens": limit}

    whole = json.loads(sent(answer, "responses", body)[1])
    events = data(sent(answer, "responses", {**body, "stream": True})[1])

    assert events[-1]["response"] == whole
    assert [event["item"] for event in events if event["type"].endswith("item.done")] == whole["output"]


@given(answers, st.integers(1, 60))
def test_the_deltas_of_a_message_are_its_texts(answer: Answer, limit: int):
    """In Anthropic's words, too."""
    body = {"model": "policy", "messages": [{"role": "user", "content": "?"}], "max_tokens": limit}

    whole = json.loads(sent(answer, "messages", body)[1])
    events = data(sent(answer, "messages", {**body, "stream": True})[1])

    for index, block in enumerate(whole["content"]):
        deltas = [event["delta"] for event in events if "delta" in event and event.get("index") == index]
        for name in ("text", "thinking", "signature"):
            assert "".join(delta.get(name, "") for delta in deltas) == block.get(name, "")
    assert events[-1] == {"type": "message_stop"}
