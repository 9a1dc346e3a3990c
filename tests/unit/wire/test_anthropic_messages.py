"""Anthropic messages to a model call and back: nothing is lost, and nothing makes the parser raise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.codec import Codec
from agl_core.events import CallRecorded, Choice, Message, ModelCall, Sampling, Tool, ToolCall, Usage
from agl_core.wire import anthropic_messages, error_code
from agl_core.wire.dialect import Dialect
from agl_core.wire.sse import Events, Sent, said

_dialect: Dialect = anthropic_messages

CORPUS = Path(__file__).parent / "corpus" / "anthropic"
REQUESTS = sorted((CORPUS / "requests").glob("*.json"))
STREAMS = sorted((CORPUS / "streams").glob("*.sse"))
PNG = "iVBORw0KGgo="
REQUEST = {
    "model": "policy",
    "max_tokens": 64,
    "system": [{"type": "text", "text": "Answer with a number.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "How many?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I count.", "signature": "sig"},
                {"type": "text", "text": "I look twice."},
                {"type": "tool_use", "id": "t1", "name": "count", "input": {"what": "cats"}},
                {"type": "tool_use", "id": "t2", "name": "count", "input": {}, "caller": {"type": "direct"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "2"},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "is_error": True,
                    "content": [{"type": "text", "text": "no"}],
                },
                {"type": "text", "text": "And now?"},
            ],
        },
        {"role": "user", "content": "Well?"},
    ],
    "tools": [
        {"name": "count", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    ],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 5,
    "stop_sequences": ["\n"],
    "tool_choice": {"type": "auto"},
    "metadata": {"user_id": "ann"},
    "stream": True,
}
RESPONSE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "policy-2",
    "content": [
        {"type": "thinking", "thinking": "Two.", "signature": "sig"},
        {"type": "text", "text": "There are 2."},
        {"type": "tool_use", "id": "t3", "name": "count", "input": {"what": "dogs"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 3,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 100,
        "output_tokens": 7,
        "service_tier": "standard",
    },
}
TOOL_USE = {"type": "tool_use", "id": "t1", "name": "count", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "2"}
ASKED_ELSEWHERE = ModelCall(
    model="policy",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="developer", content="In English."),
        Message(role="user", content="Hi", name="ann"),
        Message(
            role="user",
            content=[
                {"type": "text", "text": "See:"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
            ],
        ),
        Message(
            role="assistant",
            content="",
            tool_calls=(
                ToolCall(id="c1", name="add", arguments='{"a": 2}'),
                ToolCall(id="c2", name="add", arguments='{"a": 2'),
                ToolCall(id="c3", name="add", arguments=""),
            ),
            extra={"refusal": None},
        ),
        Message(role="tool", tool_call_id="c1", content="2"),
        Message(role="tool", tool_call_id="c2", content=[{"type": "text", "text": "no"}]),
        Message(role="tool", tool_call_id="c3", content=""),
        Message(role="user", content="So?"),
    ),
    tools=(Tool(name="add", description="a + b"),),
    sampling=Sampling(temperature=0.5, seed=3, stop=("\n",)),
    extra={"n": 2, "tool_choice": "auto"},
)

texts = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def _or_anything(fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(fitting, fitting, fitting, json_values)


def _objects(*, needs: dict[str, Any] | None = None, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with what they need and some of these fields, each fitting or not, and others beside them."""
    known = st.fixed_dictionaries(
        {name: st.just(value) for name, value in (needs or {}).items()},
        optional={name: _or_anything(value) for name, value in fields.items()},
    )
    return st.builds(lambda extra, fit: {**extra, **fit}, st.dictionaries(texts, json_values, max_size=1), known)


def _block(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    whole = st.fixed_dictionaries({"type": st.just(kind), **fields})
    return whole | _objects(needs={"type": kind}, **fields, cache_control=st.just({"type": "ephemeral"}))


texts_of_calls = texts | st.sampled_from(["", " ", "{}", '{"a":1}', '{"a"', "[1]"])
inputs = st.dictionaries(texts, json_values, max_size=2) | st.fixed_dictionaries({"$invalid": texts_of_calls})
sources = st.fixed_dictionaries(
    {"type": st.just("base64"), "media_type": texts, "data": texts}
) | st.fixed_dictionaries({"type": st.just("url"), "url": texts | st.just("data:a;base64,b")})
plain_blocks = st.one_of(
    _block("text", text=texts),
    _block("text", text=texts, citations=st.none() | st.lists(json_values, max_size=2)),
    _block("image", source=sources),
    _block("image_url", image_url=st.fixed_dictionaries({"url": texts | st.just("data:a;base64,b")})),
    _block("document", source=sources, title=texts),
    _block("thinking", thinking=texts, signature=texts),
    _block("redacted_thinking", data=texts),
    _block("tool_use", id=texts, name=texts, input=inputs),
    _block("server_tool_use", id=texts, name=texts, input=inputs),
    _block("web_search_tool_result", tool_use_id=texts, content=json_values),
    json_values,
)
blocks = plain_blocks | _block(
    "tool_result",
    tool_use_id=texts,
    content=texts | st.lists(plain_blocks, max_size=2),
    is_error=st.booleans(),
)
contents = texts | st.lists(blocks, max_size=4)
roles = st.sampled_from(["user", "assistant", "user", "assistant", "system", "tool"]) | texts
turns = st.fixed_dictionaries({"role": roles, "content": contents}) | _objects(role=roles, content=contents)
tools = _objects(
    needs={"name": "count"}, input_schema=st.dictionaries(texts, json_values, max_size=2), description=texts, type=texts
)
requests = _objects(
    model=texts,
    system=texts | st.lists(plain_blocks, max_size=2),
    messages=st.lists(turns, max_size=3),
    tools=st.lists(tools, max_size=3),
    temperature=st.floats(0, 2),
    top_k=st.integers(0, 9),
    max_tokens=st.integers(0, 99),
    stop_sequences=st.lists(texts, max_size=2),
    return_token_ids=st.booleans(),
)
ids = st.lists(st.integers(0, 2**32 - 1), max_size=3)
counts = st.integers(0, 9)
responses = _objects(
    needs={"type": "message"},
    id=texts,
    model=texts,
    content=st.lists(blocks, max_size=3),
    stop_reason=st.none() | texts | st.sampled_from(["end_turn", "stop_sequence", "tool_use", "stop"]),
    stop_sequence=st.none() | texts,
    prompt_token_ids=ids,
    token_ids=ids,
    usage=_objects(
        input_tokens=counts,
        output_tokens=counts,
        cache_read_input_tokens=st.none() | counts,
        cache_creation_input_tokens=counts,
    ),
)
deltas = st.one_of(
    _block("text_delta", text=texts),
    _block("thinking_delta", thinking=texts),
    _block("signature_delta", signature=texts),
    _block("input_json_delta", partial_json=texts_of_calls),
    _block("citations_delta", citation=json_values),
    _block("later_delta", content=texts),
)
places = st.integers(0, 2)
events = st.one_of(
    _objects(needs={"type": "message_start"}, message=responses),
    _objects(needs={"type": "content_block_start"}, index=places, content_block=blocks),
    _objects(needs={"type": "content_block_delta"}, index=places, delta=deltas, token_ids=ids),
    _objects(needs={"type": "content_block_stop"}, index=places),
    _objects(needs={"type": "message_delta"}, delta=responses, usage=json_values, token_ids=ids),
    _objects(needs={"type": "error"}, error=_objects(type=texts)),
    st.sampled_from([{"type": "message_stop"}, {"type": "ping"}]),
    json_values,
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


def _sent(pieces: bytes) -> list[Sent]:
    return list(Events().feed(pieces))


def _assembled(stream: bytes, asked: dict[str, Any]) -> Any:
    assembly = anthropic_messages.assembly(asked)
    for event in _sent(stream):
        assembly.add(event)
    return assembly


def _written(body: dict[str, Any]) -> str:
    return "".join(block.get("thinking", "") + block.get("text", "") for block in body.get("content", []))


@given(requests)
def test_a_request_keeps_every_field_it_came_with(body: dict[str, Any]):
    """Whatever JSON it is: parsed, and rendered again, it says all it said."""
    rendered = anthropic_messages.render_request(anthropic_messages.request(body))

    assert {name: rendered[name] for name in body} == body


@given(requests, responses)
def test_a_rendered_response_is_what_the_asker_saw(asked: dict[str, Any], body: dict[str, Any]):
    """So that a replay can answer from the log, in the shape the agent knows."""
    call = anthropic_messages.response(anthropic_messages.request(asked), body)

    assert holds(anthropic_messages.render_response(call), anthropic_messages.strip_capture(body, asked))


@given(requests)
def test_parsing_what_was_rendered_gives_the_same_call(asked: dict[str, Any]):
    """A model call is one thing in two notations."""
    call = anthropic_messages.request(anthropic_messages.render_request(anthropic_messages.request(asked)))

    assert anthropic_messages.request(anthropic_messages.render_request(call)) == call


@given(requests, responses)
def test_a_call_of_any_payload_can_be_written_down(asked: dict[str, Any], body: dict[str, Any]):
    """What the parser lets through, the log can keep and give back."""
    call = anthropic_messages.response(anthropic_messages.request(asked), body)
    event = CallRecorded(call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", call=call, started_at=0, latency=0.0)

    written = Codec().encode(event)

    assert Codec().decode(written.type, written.schema, written.data, written.blobs.__getitem__) == event


@given(requests, responses)
def test_a_call_of_any_payload_can_be_told_elsewhere(asked: dict[str, Any], body: dict[str, Any]):
    """What another dialect's words are made of is never too odd to be rendered."""
    call = anthropic_messages.response(anthropic_messages.request(asked), body)
    foreign = ModelCall(model=call.model, messages=call.messages, tools=call.tools, choices=call.choices)

    assert set(anthropic_messages.render_request(foreign)) >= {"model", "max_tokens", "messages"}
    assert anthropic_messages.render_response(foreign).get("type", "message") == "message"


@given(requests, responses)
def test_a_rendered_stream_is_the_rendered_response(asked: dict[str, Any], body: dict[str, Any]):
    """Streamed or not, an asker is told the same."""
    call = anthropic_messages.response(anthropic_messages.request(asked), {"content": [], **body})

    assembly = _assembled(b"".join(anthropic_messages.render_stream(call)), asked)

    assert assembly.is_whole
    assert assembly.body() == anthropic_messages.render_response(call)


@given(st.lists(events, max_size=8), requests)
def test_events_in_any_order_give_a_body_that_can_be_read(told: list[Any], asked: dict[str, Any]):
    """Repeated, out of order, without their fields, for blocks that never began."""
    assembly = _assembled(b"".join(map(said, told)), asked)

    call = anthropic_messages.response(anthropic_messages.request(asked), assembly.body())

    assert holds(anthropic_messages.render_response(call), anthropic_messages.strip_capture(assembly.body(), asked))


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
@given(data=st.data())
def test_a_stream_cut_anywhere_gives_a_body_that_can_be_read(path: Path, data: st.DataObject):
    """What had come of an answer that broke off is recorded."""
    stream = path.read_bytes()
    cut = stream[: data.draw(st.integers(0, len(stream)))]

    body = _assembled(cut, REQUEST).body()
    call = anthropic_messages.response(anthropic_messages.request(REQUEST), body)

    assert len(call.choices) == (b"message_start" in cut and b"\n\n" in cut)
    assert holds(anthropic_messages.render_response(call), body)
    assert _written(_assembled(stream, REQUEST).body()).startswith(_written(body))


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_what_the_sdk_sends_comes_back_exactly(path: Path):
    """Recorded from Anthropic's own client: see record.py."""
    body = json.loads(path.read_bytes())

    rendered = anthropic_messages.render_request(anthropic_messages.request(body))

    assert msgspec.json.encode(rendered, order="deterministic") == msgspec.json.encode(body, order="deterministic")


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_stream_is_put_together_as_the_sdk_does_it(path: Path):
    """The message beside the stream is what Anthropic's own client made of it: see record.py."""
    seen_by_sdk = json.loads(path.with_suffix(".json").read_bytes())

    assembly = _assembled(path.read_bytes(), REQUEST)

    assert assembly.is_whole is (assembly.error is None)
    assert {"error": assembly.error} if assembly.error else assembly.body() == seen_by_sdk


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_stream_without_token_ids_is_passed_on_as_it_came(path: Path):
    """Byte for byte: there is nothing to take out."""
    assembly = anthropic_messages.assembly(REQUEST)

    assert b"".join(map(assembly.add, _sent(path.read_bytes()))) == path.read_bytes()


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "system", "content": "Now in French."},
        {"role": "tool", "content": "2"},
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "user", "content": []},
        {"role": "user", "content": "Hi", "name": "ann"},
        {"role": "user", "content": [{"type": "text", "text": ""}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}, "b"]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "a"}, RESULT, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [RESULT]},
        {"role": "user", "content": [{**RESULT, "content": None}]},
        {"role": "user", "content": [{**RESULT, "content": []}]},
        {"role": "user", "content": [{**RESULT, "content": [TOOL_USE]}]},
        {"role": "user", "content": [{"type": "tool_result", "content": "2"}]},
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "data:a;base64,b"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:a;base64,b"}}]},
        {"role": "assistant", "content": [TOOL_USE, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{**TOOL_USE, "input": {"$invalid": "{"}}]},
        {"role": "assistant", "content": [{**TOOL_USE, "input": {"$invalid": "{}"}}]},
        {"role": "assistant", "content": [{**TOOL_USE, "input": {"$invalid": ""}}]},
        {"role": "assistant", "content": [{**TOOL_USE, "input": None}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "count"}]},
    ],
)
def test_a_turn_of_any_make_comes_back_exactly(turn: dict[str, Any]):
    """Also one that Anthropic would refuse."""
    body = {"model": "policy", "messages": [turn, {"role": "user", "content": "Well?"}]}

    assert anthropic_messages.render_request(anthropic_messages.request(body)) == body


def test_a_request_in_the_words_of_the_vocabulary():
    """Names for what has one; the rest stays beside it."""
    call = anthropic_messages.request(REQUEST)

    assert call.dialect == "anthropic.messages"
    assert [(one.role, one.content, one.tool_call_id) for one in call.messages] == [
        ("system", "Answer with a number.", None),
        (
            "user",
            [
                {"type": "text", "text": "How many?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
            None,
        ),
        ("assistant", "I look twice.", None),
        ("tool", "2", "t1"),
        ("tool", "no", "t2"),
        ("user", "And now?", None),
        ("user", "Well?", None),
    ]
    assert call.messages[2].tool_calls == (
        ToolCall(id="t1", name="count", arguments='{"what":"cats"}'),
        ToolCall(id="t2", name="count", arguments="{}"),
    )
    assert call.messages[2].extra == {
        "$blocks": [
            {"block": {"type": "thinking", "thinking": "I count.", "signature": "sig"}},
            {"part": {}},
            {"call": {}},
            {"call": {"caller": {"type": "direct"}}},
        ]
    }
    assert call.tools == (Tool(name="count", parameters={"type": "object"}),)
    assert call.sampling == Sampling(temperature=0.5, top_p=0.9, top_k=5, max_tokens=64, stop=("\n",))
    assert {name for name in call.extra if name != "$tools"} == {"tool_choice", "metadata", "stream"}
    assert anthropic_messages.render_request(call) == REQUEST


def test_every_tool_result_of_a_turn_is_a_message():
    """Wherever it stands, and so is what stands between two."""
    other = {**RESULT, "tool_use_id": "t2"}
    turn = {"role": "user", "content": [{"type": "text", "text": "a"}, RESULT, {"type": "text", "text": "b"}, other]}

    call = anthropic_messages.request({"messages": [turn]})

    assert [(one.role, one.content, one.tool_call_id) for one in call.messages] == [
        ("user", "a", None),
        ("tool", "2", "t1"),
        ("user", "b", None),
        ("tool", "2", "t2"),
    ]


def test_a_message_that_was_changed_is_rendered_from_its_words():
    """A layout of other words than these says nothing about them."""
    call = anthropic_messages.request(REQUEST)
    changed = replace(call.messages[2], tool_calls=(), content=[{"type": "text", "text": "a"}, "b"])

    body = anthropic_messages.render_request(replace(call, messages=(changed,), tools=()))

    texts_said = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert body["messages"] == [{"role": "assistant", "content": texts_said}]
    assert "tools" not in body


def test_input_as_deep_as_json_comes_is_kept():
    """Nothing that was decoded is too deep to be read."""
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"a": deep}
    asked = {**REQUEST, "messages": [{"role": "assistant", "content": [{**TOOL_USE, "input": deep}]}]}

    assert anthropic_messages.render_request(anthropic_messages.request(asked)) == asked


def test_a_response_in_the_words_of_the_vocabulary():
    """OpenAI's words for why it stopped, and cached tokens of the prompt are tokens of the prompt."""
    call = anthropic_messages.response(anthropic_messages.request(REQUEST), RESPONSE)

    [choice] = call.choices
    assert choice.message.content == "There are 2."
    assert choice.message.tool_calls == (ToolCall(id="t3", name="count", arguments='{"what":"dogs"}'),)
    assert choice.finish_reason == "tool_calls"
    assert call.usage == Usage(prompt_tokens=113, completion_tokens=7)
    assert call.response_id == "msg_1"
    assert call.provenance == "absent"
    assert anthropic_messages.render_response(call) == RESPONSE


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        (None, None),
    ],
)
def test_why_it_stopped_is_said_in_openais_words_and_given_back(reason: str | None, word: str | None):
    """One vocabulary for who reads calls, and none lost."""
    call = anthropic_messages.response(anthropic_messages.request(REQUEST), {**RESPONSE, "stop_reason": reason})

    assert call.choices[0].finish_reason == word
    assert anthropic_messages.render_response(call)["stop_reason"] == reason


def test_token_ids_of_an_engine_are_read_and_hidden():
    """Whether the asker wanted to see them or not."""
    body = {**RESPONSE, "prompt_token_ids": [1, 2], "token_ids": [7, 2]}

    call = anthropic_messages.response(anthropic_messages.request(REQUEST), body)
    wanted = anthropic_messages.add_capture(REQUEST, token_ids=True, logprobs=True)

    assert call.provenance == "engine"
    assert call.prompt_token_ids == (1, 2)
    assert call.choices[0].token_ids == (7, 2)
    assert anthropic_messages.render_response(call) == RESPONSE
    assert anthropic_messages.strip_capture(body, REQUEST) == RESPONSE
    assert anthropic_messages.strip_capture(body, wanted) == body
    assert (
        anthropic_messages.render_response(anthropic_messages.response(anthropic_messages.request(wanted), body))
        == body
    )


def test_token_ids_in_a_stream_are_read_and_hidden():
    """Wherever an engine says them; the events keep their names."""
    call = anthropic_messages.response(
        anthropic_messages.request({**REQUEST, "return_token_ids": True}),
        {**RESPONSE, "prompt_token_ids": [1, 2], "token_ids": [7, 2]},
    )
    stream = b"".join(anthropic_messages.render_stream(call))
    assembly = anthropic_messages.assembly(REQUEST)

    shown = b"".join(map(assembly.add, _sent(stream)))

    assert assembly.body()["token_ids"] == [7, 2]
    assert assembly.body()["prompt_token_ids"] == [1, 2]
    assert b"token_ids" not in shown
    assert [event.event for event in _sent(shown)] == [event.event for event in _sent(stream)]
    assert _assembled(shown, REQUEST).body() == RESPONSE


@pytest.mark.parametrize(
    "event",
    [
        {"index": 0, "delta": {"type": "text_delta", "text": "a"}, "token_ids": [7, 2]},
        {"index": 0, "delta": {"type": "text_delta", "text": "a", "token_ids": [7, 2]}},
    ],
)
def test_token_ids_that_come_with_the_text_are_put_together(event: dict[str, Any]):
    """Piece by piece, as engines sample them."""
    begun = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    grown = said({"type": "content_block_delta", **event})

    ended = said({"type": "message_delta", "delta": {"stop_reason": "end_turn", "token_ids": [9]}})

    body = _assembled(said(begun) + grown + grown + ended, REQUEST).body()

    assert body == {
        "content": [{"type": "text", "text": "aa"}],
        "stop_reason": "end_turn",
        "token_ids": [7, 2, 7, 2, 9],
    }


def test_nothing_but_token_ids_is_asked_for():
    """Anthropic refuses fields it does not know."""
    assert anthropic_messages.add_capture(REQUEST, token_ids=False, logprobs=True) == REQUEST


def test_a_request_of_another_dialect_in_anthropics_words():
    """All that Anthropic has a place for, and nothing else."""
    assert anthropic_messages.render_request(ASKED_ELSEWHERE) == {
        "model": "policy",
        "max_tokens": 4096,
        "temperature": 0.5,
        "stop_sequences": ["\n"],
        "system": "Be brief.\n\nIn English.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hi"},
                    {"type": "text", "text": "See:"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 2}},
                    {"type": "tool_use", "id": "c2", "name": "add", "input": {"$invalid": '{"a": 2'}},
                    {"type": "tool_use", "id": "c3", "name": "add", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "2"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "no"},
                    {"type": "tool_result", "tool_use_id": "c3"},
                    {"type": "text", "text": "So?"},
                ],
            },
        ],
        "tools": [
            {"name": "add", "description": "a + b", "input_schema": {"type": "object", "properties": {}}},
        ],
    }


def test_an_answer_of_another_dialect_in_anthropics_words():
    """Why it stopped is said as Anthropic says it; what the other dialect said beside is left out."""
    message = Message(
        role="assistant",
        content="",
        tool_calls=(ToolCall(id="c1", name="add", arguments="{}"),),
        extra={"reasoning_content": "hm"},
    )
    call = ModelCall(
        model="policy",
        choices=(Choice(message=message, finish_reason="tool_calls"),),
        usage=Usage(prompt_tokens=3, completion_tokens=2),
        response_id="chatcmpl-1",
        extra={"$response": {"object": "chat.completion"}},
    )

    assert anthropic_messages.render_response(call) == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "policy",
        "content": [{"type": "tool_use", "id": "c1", "name": "add", "input": {}}],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }


def test_an_answer_to_another_dialects_call_is_in_our_words_alone():
    """Its asker has no place for more, and would be shown it by its own dialect."""
    call = anthropic_messages.response(ASKED_ELSEWHERE, RESPONSE)

    assert call.choices[0].message == Message(
        role="assistant",
        content="There are 2.",
        tool_calls=(ToolCall(id="t3", name="count", arguments='{"what":"dogs"}'),),
    )
    assert call.extra == ASKED_ELSEWHERE.extra


def test_arguments_that_were_cut_off_are_kept_as_text():
    """Half an object is what the model wrote, as far as it came."""
    delta = {"type": "input_json_delta", "partial_json": '{"what": "do'}
    stream = said({"type": "content_block_start", "index": 0, "content_block": TOOL_USE})
    stream += said({"type": "content_block_delta", "index": 0, "delta": delta})

    cut = anthropic_messages.response(anthropic_messages.request(REQUEST), _assembled(stream, REQUEST).body())

    assert cut.choices[0].message.tool_calls[0].arguments == '{"what": "do'
    assert anthropic_messages.render_response(cut)["content"] == [{**TOOL_USE, "input": {"$invalid": '{"what": "do'}}]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_a_refusal_is_typed_as_anthropic_types_it(status: int, kind: str):
    """Clients read the type, we read the code."""
    body = anthropic_messages.refusal(status, "gateway_paused", "later")

    assert body == {"type": "error", "error": {"type": kind, "message": "later", "code": "gateway_paused"}}
    assert error_code(status, body) == "gateway_paused"


def test_a_broken_stream_says_so():
    """In an event that assembling reads as the end that never came."""
    assembly = _assembled(anthropic_messages.broken("upstream_lost", "gone"), REQUEST)

    assert assembly.error == "upstream_lost"
    assert not assembly.is_whole


@pytest.mark.parametrize(
    "path", [path for path in STREAMS if b"message_delta" in path.read_bytes()], ids=lambda path: path.stem
)
def test_a_stream_is_whole_when_it_says_why_the_model_stopped(path: Path):
    """LiteLLM's reader of streams hangs up there: all that follows is the mark of the end."""
    told = _sent(path.read_bytes())
    end = [event.event for event in told].index("message_delta")
    before, after = anthropic_messages.assembly(REQUEST), anthropic_messages.assembly(REQUEST)

    for event in told[:end]:
        before.add(event)
    for event in told[: end + 1]:
        after.add(event)

    assert (before.is_whole, after.is_whole) == (False, True)
    assert after.body() == _assembled(path.read_bytes(), REQUEST).body()


def test_what_a_stream_says_after_the_reason_is_heard():
    """Usage in an event of its own, and an error."""
    reason = said({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    usage = said({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 7}})
    error = anthropic_messages.broken("upstream_lost", "gone")

    assembly = _assembled(reason + usage + error, REQUEST)

    assert assembly.body()["usage"] == {"output_tokens": 7}
    assert assembly.error == "upstream_lost"
