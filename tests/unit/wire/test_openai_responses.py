"""OpenAI Responses to a model call and back, whole or in pieces: nothing is lost, and nothing raises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.codec import Codec
from agl_core.events import CallRecorded, Choice, Message, ModelCall, Sampling, Tool, ToolCall, Usage
from agl_core.wire import openai_chat, openai_responses
from agl_core.wire.dialect import Assembly, Dialect
from agl_core.wire.sse import Events, Sent

_dialect: Dialect = openai_responses

CORPUS = Path(__file__).parent / "corpus" / "responses"
RECORDED = [
    pytest.param(body, id=f"{path.stem}-{place}")
    for path in sorted(CORPUS.glob("requests-*.json"))
    for place, body in enumerate(json.loads(path.read_text()))
]
STREAMED = sorted(path.stem for path in CORPUS.glob("*.sse"))
FAILED = {"status": "failed", "error": {"code": "server_error", "message": "no"}}
ASKED_FOR_ALL = openai_responses.add_capture({"model": "policy", "input": "2+2?"})

texts = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def _objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these fields, each fitting or not, and others beside them."""
    known = st.fixed_dictionaries({}, optional={name: value | json_values for name, value in fields.items()})
    return st.builds(lambda extra, said: {**extra, **said}, st.dictionaries(texts, json_values, max_size=2), known)


ids = st.lists(st.integers(0, 2**32 - 1), max_size=3)
logprobs = st.lists(_objects(token=texts, logprob=st.floats(-9, 0)), max_size=2)
parts = _objects(
    type=st.sampled_from(["input_text", "output_text", "input_image", "input_file", "refusal", "text", "image_url"]),
    text=texts,
    image_url=texts,
    detail=texts,
    refusal=texts,
    logprobs=logprobs,
    annotations=st.lists(_objects(type=texts), max_size=2),
)
ITEMS = [
    "message",
    "function_call",
    "function_call_output",
    "reasoning",
    "item_reference",
    "web_search_call",
    "custom_tool_call",
    "custom_tool_call_output",
    "mcp_approval_response",
]
items = _objects(
    type=st.sampled_from(ITEMS),
    role=st.sampled_from(["user", "assistant", "system", "developer"]),
    content=texts | st.lists(parts, max_size=3),
    summary=st.lists(_objects(type=st.just("summary_text"), text=texts), max_size=2),
    id=texts,
    call_id=texts,
    name=texts,
    arguments=texts,
    input=texts,
    output=texts | st.lists(parts, max_size=2),
    status=st.sampled_from(["completed", "in_progress", "incomplete"]),
    token_ids=ids,
)
tools = _objects(
    type=st.sampled_from(["function", "web_search"]),
    name=texts,
    description=texts,
    parameters=st.dictionaries(texts, json_values, max_size=2),
    strict=st.booleans(),
)
requests = _objects(
    model=texts,
    instructions=texts,
    input=texts | st.lists(items, max_size=5),
    tools=st.lists(tools, max_size=3),
    temperature=st.floats(0, 2),
    top_p=st.floats(0, 1),
    max_output_tokens=st.integers(0, 99),
    include=st.lists(st.just("message.output_text.logprobs"), max_size=1),
    return_token_ids=st.booleans(),
    previous_response_id=texts,
)
responses = _objects(
    id=texts,
    object=st.just("response"),
    model=texts,
    status=st.sampled_from(["completed", "incomplete", "failed", "in_progress", "cancelled"]),
    incomplete_details=_objects(reason=st.sampled_from(["max_output_tokens", "content_filter"])),
    error=_objects(code=texts, message=texts),
    output=st.lists(items, max_size=4),
    usage=_objects(input_tokens=st.integers(0, 9), output_tokens=st.integers(0, 9)),
    prompt_token_ids=ids,
)
KINDS = [
    "response.created",
    "response.in_progress",
    "response.queued",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.refusal.delta",
    "response.refusal.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
    "response.output_text.annotation.added",
    "response.web_search_call.searching",
    "response.custom_tool_call_input.delta",
    "response.what.is.this",
    "error",
]
places = st.integers(0, 2)
streamed = _objects(
    type=st.sampled_from(KINDS),
    output_index=places,
    content_index=places,
    summary_index=places,
    annotation_index=places,
    item=items,
    part=parts,
    annotation=_objects(type=texts),
    delta=texts,
    text=texts,
    arguments=texts,
    refusal=texts,
    logprobs=logprobs,
    response=responses,
    error=_objects(code=texts, message=texts),
    code=texts,
    message=texts,
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


def answer(name: str) -> dict[str, Any]:
    """An answer of the corpus, as it is when it is not streamed."""
    found: dict[str, Any] = json.loads((CORPUS / f"{name}.json").read_text())
    return found


def events_of(name: str) -> list[Sent]:
    """The same answer, streamed."""
    return list(Events().feed((CORPUS / f"{name}.sse").read_bytes()))


def assembled(events: list[Sent], asked: dict[str, Any] | None = None) -> Assembly:
    """What has come of the answer with these events."""
    assembly = openai_responses.assembly(asked or {})
    for event in events:
        assembly.add(event)
    return assembly


def _event(said: Any) -> bytes:
    return f"data: {json.dumps(said)}\n\n".encode()


def _sent(pieces: list[bytes]) -> list[Sent]:
    return list(Events().feed(b"".join(pieces)))


class _Serves(BaseHTTPRequestHandler):
    """Answers with what the server was given."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.status)
        self.send_header("content-type", self.server.kind)
        self.end_headers()
        self.wfile.write(self.server.said)

    def log_message(self, *args: object):
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Any]:
    """A provider that answers with its `said`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Serves) as serving:
        serving.status, serving.kind, serving.said = 200, "text/event-stream", b""
        thread = Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def client(server) -> Iterator[Any]:
    """OpenAI's own client, at that provider."""
    url = f"http://127.0.0.1:{server.server_port}/v1"
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as asking:
        yield asking


@pytest.mark.parametrize("body", RECORDED)
def test_what_the_sdk_sends_comes_back_as_it_was(body: dict[str, Any]):
    """Neither a field less nor a field more."""
    assert openai_responses.render_request(openai_responses.request(body)) == body


@pytest.mark.parametrize("body", RECORDED)
def test_what_the_sdk_sends_is_understood(body: dict[str, Any]):
    """Every input becomes messages, and is not kept a second time."""
    call = openai_responses.request(body)

    assert call.dialect == "openai.responses"
    assert call.messages
    assert not call.extra.keys() & {"input", "instructions", "model", "temperature", "top_p", "max_output_tokens"}


@pytest.mark.parametrize("name", STREAMED)
def test_an_answer_comes_back_as_it_was(name: str):
    """To who asked for everything."""
    call = openai_responses.response(openai_responses.request(ASKED_FOR_ALL), answer(name))

    assert openai_responses.render_response(call) == answer(name)


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_ends_in_the_answer(name: str):
    """As if it had not been streamed, and every event is shown as it came."""
    assembly = openai_responses.assembly(ASKED_FOR_ALL)

    shown = [assembly.add(event) for event in events_of(name)]

    assert assembly.body() == answer(name)
    assert assembly.is_whole
    assert b"".join(shown) == (CORPUS / f"{name}.sse").read_bytes()


@pytest.mark.parametrize("name", STREAMED)
def test_the_pieces_say_what_the_end_says(name: str):
    """A stream without its last event has the same output."""
    assembly = assembled(events_of(name)[:-1])

    assert not assembly.is_whole
    assert assembly.body().get("output", []) == answer(name)["output"]


@pytest.mark.parametrize("name", STREAMED)
def test_the_deltas_say_what_the_end_says(name: str):
    """A stream none of whose items was ended has the same words in it."""
    told = [event for event in events_of(name)[:-1] if not event.event.endswith(".done")]

    call = openai_responses.response(ModelCall(model="policy"), assembled(told).body())

    whole = openai_responses.response(ModelCall(model="policy"), answer(name))
    assert bool(call.choices) == bool(answer(name)["output"])
    for begun, said in zip(call.choices, whole.choices, strict=False):
        assert (begun.message.content, begun.message.tool_calls) == (said.message.content, said.message.tool_calls)


@pytest.mark.parametrize("name", STREAMED)
def test_the_parts_say_what_the_end_says(name: str):
    """Thoughts, summaries, refusals, citations and log-probabilities come in pieces, too."""
    begun = [event for event in events_of(name)[:-1] if event.event != "response.output_item.done"]

    grown = assembled(begun).body().get("output", [])

    assert [{**one, "status": None} for one in grown] == [{**one, "status": None} for one in answer(name)["output"]]


@pytest.mark.parametrize("name", STREAMED)
def test_the_sdk_reads_the_stream_as_we_do(name: str, client, server):
    """OpenAI's client and ours find the same response in it."""
    server.said = (CORPUS / f"{name}.sse").read_bytes()

    *_, last = client.responses.create(model="policy", input="2+2?", stream=True)

    assert last.response.to_dict(mode="json") == assembled(events_of(name)).body()


@pytest.mark.parametrize("name", STREAMED)
def test_the_sdk_reads_the_stream_we_render(name: str, client, server):
    """With every check of its state machine, and to the same response."""
    call = openai_responses.response(openai_responses.request(ASKED_FOR_ALL), answer(name))
    server.said = b"".join(openai_responses.render_stream(call))

    with client.responses.stream(model="policy", input="2+2?") as stream:
        *_, last = stream

    assert holds(last.response.to_dict(mode="json"), answer(name))


@pytest.mark.parametrize("name", ["text", "calls", "reasoning", "search", "refusal", "incomplete"])
def test_a_rendered_stream_has_the_events_of_a_real_one(name: str):
    """In their order; a text comes in one delta."""
    call = openai_responses.response(openai_responses.request(ASKED_FOR_ALL), answer(name))

    rendered = _sent(openai_responses.render_stream(call))

    assert [event.event for event in rendered] == _without_repeats(
        [event.event for event in events_of(name) if "_search_call" not in event.event]
    )
    assert all(event.json()["type"] == event.event for event in rendered)
    assert [event.json()["sequence_number"] for event in rendered] == list(range(len(rendered)))
    real = {event.event: event.json().keys() for event in events_of(name)}
    assert all(real[event.event] - event.json().keys() <= {"obfuscation"} for event in rendered)


def _without_repeats(names: list[str]) -> list[str]:
    return [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]


def test_a_request_in_the_words_of_the_vocabulary():
    """Names for what has one; the rest stays beside it."""
    body = {
        "model": "policy",
        "instructions": "Answer with a number.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "2+2?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 2', "id": "fc_1"},
            {"type": "function_call", "call_id": "c2", "name": "add", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "4"},
        ],
        "tools": [
            {"type": "web_search"},
            {"type": "function", "name": "add", "description": "", "strict": True, "parameters": {"type": "object"}},
        ],
        "temperature": 1,
        "top_p": 0.9,
        "max_output_tokens": 64,
        "previous_response_id": "resp_0",
        "store": False,
    }

    call = openai_responses.request(body)

    assert call.messages == (
        Message(role="system", content="Answer with a number."),
        Message(role="user", content=[{"type": "text", "text": "2+2?"}]),
        Message(
            role="assistant",
            tool_calls=(
                ToolCall(id="c1", name="add", arguments='{"a": 2'),
                ToolCall(id="c2", name="add", arguments="{}"),
            ),
            extra=call.messages[2].extra,
        ),
        Message(role="tool", content="4", tool_call_id="c1"),
    )
    assert call.tools == (Tool(name="add", parameters={"type": "object"}),)
    assert call.sampling == Sampling(temperature=1.0, top_p=0.9, max_tokens=64)
    assert {"previous_response_id", "store", "tools"} == call.extra.keys()
    assert openai_responses.render_request(call) == body


def test_an_answer_in_the_words_of_the_vocabulary():
    """Tokens and their log-probabilities are kept, whether the asker wanted to see them or not."""
    call = openai_responses.response(openai_responses.request({"input": "2+2?"}), answer("engine"))

    (choice,) = call.choices
    assert choice == Choice(
        message=Message(role="assistant", content="4.", extra=choice.message.extra),
        finish_reason="stop",
        token_ids=(5, 6, 7, 2),
    )
    assert call.prompt_token_ids == (1, 2, 3)
    assert call.usage == Usage(prompt_tokens=36, completion_tokens=87)
    assert call.provenance == "engine"


def test_log_probabilities_are_those_of_the_tokens():
    """One for each sampled id, or none."""
    body = answer("engine")
    del body["output"][0]

    call = openai_responses.response(ModelCall(model="policy"), body, logprobs_mode="raw")

    assert call.choices[0].token_ids == (7, 2)
    assert call.choices[0].logprobs == (-0.5, -0.25)
    assert call.logprobs_mode == "raw"


@pytest.mark.parametrize("place", [0, 1])
def test_token_ids_that_are_not_whole_are_absent(place: int):
    """Half of the truth is not trained on."""
    body = answer("engine")
    del body["output"][place]["token_ids"]

    call = openai_responses.response(ModelCall(model="policy"), body)

    assert call.provenance == "absent"


def test_what_the_model_said_reads_alike_in_the_answer_and_in_the_next_request():
    """So that a history is found to begin with the call that made it."""
    for name in ("text", "calls", "reasoning", "search", "refusal"):
        said = openai_responses.response(ModelCall(model="policy"), answer(name)).choices[0].message

        heard = openai_responses.request({"input": [{"role": "user", "content": "?"}, *answer(name)["output"]]})

        assert heard.messages[1] == said


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", "stop"),
        ("calls", "tool_calls"),
        ("refusal", "stop"),
        ("incomplete", "length"),
        ("failed", "failed"),
    ],
)
def test_why_an_answer_ended(name: str, reason: str):
    """In the words of chat completions, where they have one."""
    call = openai_responses.response(ModelCall(model="policy"), answer(name))

    assert call.choices[0].finish_reason == reason


def test_a_filtered_answer_says_so():
    """It was not the length."""
    body = {**answer("incomplete"), "incomplete_details": {"reason": "content_filter"}}

    assert openai_responses.response(ModelCall(model="policy"), body).choices[0].finish_reason == "content_filter"


def test_who_did_not_ask_sees_what_others_see():
    """No token ids, and log-probabilities as OpenAI answers who did not ask; the original is left alone."""
    body = answer("engine")

    shown = openai_responses.strip_capture(body, {})

    assert "prompt_token_ids" not in shown
    assert not any("token_ids" in item for item in shown["output"])
    assert shown["output"][1]["content"][0]["logprobs"] == []
    assert body == answer("engine")


def test_a_stream_shows_only_what_was_asked_for():
    """Event by event, with all else in it, while the assembly keeps everything."""
    assembly = openai_responses.assembly({})

    shown = [assembly.add(event) for event in events_of("engine")]

    assert not any(b"token_ids" in one or b"bytes" in one for one in shown)
    assert assembly.body() == answer("engine")
    assert assembled(_sent(shown)).body() == openai_responses.strip_capture(answer("engine"), {})
    assert [event.event for event in _sent(shown)] == [event.event for event in events_of("engine")]


def test_capture_asks_for_more_and_changes_nothing_else():
    """What is included already stays so, once."""
    body = {"input": "2+2?", "include": ["reasoning.encrypted_content"]}

    asking = openai_responses.add_capture(body, token_ids=True, logprobs=True)

    assert asking == {
        "input": "2+2?",
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "return_token_ids": True,
    }
    assert openai_responses.add_capture(asking, token_ids=True, logprobs=True) == asking
    assert openai_responses.add_capture(body, token_ids=False, logprobs=False) == body


def test_a_call_in_another_dialect_is_asked_as_well_as_can_be():
    """What both have words for is said in the words of this one."""
    chat = openai_chat.request(
        {
            "model": "policy",
            "messages": [
                {"role": "system", "content": "Add."},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}}]},
                {
                    "role": "assistant",
                    "content": "So.",
                    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "4"},
            ],
            "tools": [{"type": "function", "function": {"name": "add"}}],
            "max_tokens": 9,
            "logit_bias": {"1": 2},
        }
    )

    assert openai_responses.render_request(chat) == {
        "model": "policy",
        "instructions": "Add.",
        "input": [
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:,", "detail": "low"}]},
            {"role": "assistant", "content": "So."},
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "4"},
        ],
        "tools": [{"type": "function", "name": "add", "parameters": {}, "strict": False}],
        "max_output_tokens": 9,
    }


def test_an_answer_of_another_dialect_is_one_that_the_sdk_reads(client, server):
    """A question in this dialect may be answered by an engine that speaks another."""
    asked = openai_responses.request({"model": "policy", "instructions": "Add.", "input": "2+2?", "temperature": 0.5})
    message = Message(role="assistant", content="4", tool_calls=(ToolCall(id="c1", name="add", arguments="{}"),))
    call = ModelCall(
        model="policy",
        messages=asked.messages,
        sampling=asked.sampling,
        choices=(Choice(message=message, finish_reason="tool_calls"),),
        usage=Usage(prompt_tokens=3, completion_tokens=2),
        response_id="chatcmpl-1",
        extra=asked.extra,
        dialect=asked.dialect,
    )
    server.said = b"".join(openai_responses.render_stream(call))

    with client.responses.stream(model="policy", input="2+2?") as stream:
        found = stream.get_final_response()

    assert found.output_text == "4"
    assert [(one.call_id, one.name) for one in found.output if one.type == "function_call"] == [("c1", "add")]
    assert (found.usage.input_tokens, found.usage.output_tokens_details.reasoning_tokens) == (3, 0)
    assert (found.status, found.instructions, found.temperature) == ("completed", "Add.", 0.5)


def test_an_answer_of_this_dialect_is_said_in_another():
    """And what the other has no place for is left out."""
    call = openai_responses.response(openai_responses.request({"model": "policy", "input": "?"}), answer("calls"))

    (choice,) = openai_chat.render_response(call)["choices"]

    assert choice["message"]["content"] == "I will look."
    assert [one["id"] for one in choice["message"]["tool_calls"]] == ["call_unLAR8MvFNptuiZK6K6HCy5k", "call_2"]
    assert choice["finish_reason"] == "tool_calls"


def test_the_sdk_raises_on_a_stream_that_breaks(client, server):
    """And says why."""
    server.said = openai_responses.broken("upstream_lost", "The engine has gone.")

    api_error = pytest.importorskip("openai").APIError
    with pytest.raises(api_error, match="The engine has gone") as raised:
        list(client.responses.create(model="policy", input="2+2?", stream=True))

    assert raised.value.code == "upstream_lost"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "later", "param": None}, "rate_limit_exceeded"),
        ({"type": "error", "error": {"type": "quota", "code": None, "message": "no"}}, "quota"),
        ({"type": "response.failed", "response": FAILED}, "server_error"),
        ({"type": "response.failed"}, "response_failed"),
        ({"error": {"code": "boom", "message": "no"}}, "boom"),
    ],
)
def test_an_error_in_the_stream_has_one_stable_word(said: dict[str, Any], code: str):
    """It ends the stream, and what came before it stays."""
    assembly = assembled([*events_of("text")[:6], *_sent([_event(said)])])

    assert assembly.error == code
    assert assembly.is_whole
    assert openai_responses.response(ModelCall(model="policy"), assembly.body()).choices[0].finish_reason == "failed"


def test_our_own_break_is_read_as_one():
    """What one gateway says, another understands."""
    assembly = assembled(_sent([openai_responses.broken("upstream_lost", "gone")]))

    assert (assembly.error, assembly.is_whole) == ("upstream_lost", True)


def test_a_stream_that_breaks_leaves_what_has_come():
    """Half of the text, half of the arguments."""
    said = [event for event in events_of("calls") if not event.event.endswith(".done")]
    half = next(place for place, event in enumerate(said) if event.event.endswith("arguments.delta"))

    call = openai_responses.response(ModelCall(model="policy"), assembled(said[: half + 1]).body())

    (choice,) = call.choices
    assert choice.message.content == "I will look."
    assert choice.message.tool_calls[0].arguments == '{"location":'
    assert choice.finish_reason is None


def test_the_sdk_raises_on_a_refusal(client, server):
    """With the code and the message in their places."""
    server.status, server.kind = 401, "application/json"
    server.said = json.dumps(openai_responses.refusal(401, "no_token", "Whose attempt is it?")).encode()

    refused = pytest.importorskip("openai").AuthenticationError
    with pytest.raises(refused, match="Whose attempt is it") as raised:
        client.responses.create(model="policy", input="2+2?")

    assert (raised.value.code, raised.value.type, raised.value.param) == ("no_token", "authentication_error", None)


def test_each_turn_is_a_message():
    """Two texts in a row are two; an approval is the user's, and what comes out of any tool is the tool's."""
    call = openai_responses.request(
        {
            "input": [
                {"role": "assistant", "content": "One."},
                {"role": "assistant", "content": "Two."},
                {"type": "mcp_approval_request", "id": "mcpr_1", "name": "add", "arguments": "{}", "server_label": "s"},
                {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
                {"type": "custom_tool_call", "call_id": "c3", "name": "shell", "input": "ls"},
                {"type": "custom_tool_call_output", "call_id": "c3", "output": "a.pdf"},
            ]
        }
    )

    assert [(one.role, one.content, one.tool_call_id) for one in call.messages] == [
        ("assistant", "One.", None),
        ("assistant", "Two.", None),
        ("user", None, None),
        ("assistant", None, None),
        ("tool", "a.pdf", "c3"),
    ]
    assert call.messages[3].tool_calls == (ToolCall(id="c3", name="shell", arguments="ls"),)


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("failed", "failed", None),
        (None, "completed", None),
    ],
)
def test_an_answer_of_another_dialect_ends_as_it_ended(reason: str | None, status: str, details: Any):
    """In the status of this one, and the stream with its event."""
    call = ModelCall(model="policy", choices=(Choice(message=Message(role="assistant"), finish_reason=reason),))

    rendered = openai_responses.render_response(call)

    assert (rendered["status"], rendered["incomplete_details"]) == (status, details)
    assert _sent(openai_responses.render_stream(call))[-1].event == f"response.{status}"


def test_a_text_that_was_said_as_a_whole_grows_no_more():
    """A delta that comes late, or twice, is not said twice."""
    events = events_of("text")
    delta = next(event for event in events if event.event == "response.output_text.delta")
    done = next(event for event in events if event.event == "response.output_text.done")

    body = assembled([*events[: events.index(done) + 1], delta]).body()

    assert body["output"][0]["content"][0]["text"] == answer("text")["output"][0]["content"][0]["text"]


def test_what_comes_after_the_end_is_noise():
    """The answer stays what it was."""
    late = {"type": "error", "code": "boom", "message": "no"}

    assembly = assembled([*events_of("text"), *_sent([_event(late)])])

    assert assembly.error is None
    assert assembly.body() == answer("text")


def test_log_probabilities_come_with_their_text():
    """Of a stream that breaks in the middle of one, those of what has come."""
    events = events_of("engine")
    cut = next(place for place, event in enumerate(events) if event.event == "response.output_text.delta") + 1

    body = assembled(events[:cut]).body()

    (part,) = body["output"][1]["content"]
    assert (part["text"], [one["logprob"] for one in part["logprobs"]]) == ("4", [-0.5])


@given(requests)
def test_a_request_keeps_every_field_it_came_with(body: dict[str, Any]):
    """Whatever JSON it is: parsed, and rendered again, it is what it was."""
    assert openai_responses.render_request(openai_responses.request(body)) == body


@given(requests, responses)
def test_a_rendered_response_is_what_the_asker_saw(asked: dict[str, Any], body: dict[str, Any]):
    """So that a replay can answer from the log, in the shape the agent knows."""
    call = openai_responses.response(openai_responses.request(asked), body)

    assert holds(openai_responses.render_response(call), openai_responses.strip_capture(body, asked))


@given(requests, responses)
def test_a_call_of_any_payload_can_be_written_down(asked: dict[str, Any], body: dict[str, Any]):
    """What the parser lets through, the log can keep and give back; and what comes back renders the same."""
    call = openai_responses.response(openai_responses.request(asked), body)
    event = CallRecorded(call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", call=call, started_at=0, latency=0.0)

    written = Codec().encode(event)

    found = Codec().decode(written.type, written.schema, written.data, written.blobs.__getitem__)
    assert found == event
    assert openai_responses.render_request(found.call) == asked


@given(requests, responses)
def test_a_call_of_any_payload_is_said_in_another_dialect(asked: dict[str, Any], body: dict[str, Any]):
    """As well as can be, but never not at all."""
    call = openai_responses.response(openai_responses.request(asked), body)
    foreign = openai_chat.request(openai_chat.render_request(call))

    assert isinstance(openai_responses.render_request(foreign), dict)
    assert isinstance(openai_responses.render_response(foreign), dict)
    assert isinstance(openai_chat.render_response(call), dict)


@given(requests, responses)
def test_a_rendered_stream_says_the_rendered_response(asked: dict[str, Any], body: dict[str, Any]):
    """One answer, whole or in pieces."""
    call = openai_responses.response(openai_responses.request(asked), body)

    assembly = assembled(_sent(openai_responses.render_stream(call)), asked)

    assert assembly.body() == openai_responses.render_response(call)
    assert assembly.is_whole


@given(st.lists(streamed | json_values, max_size=8), requests)
def test_any_stream_is_put_together_and_read(events: list[Any], asked: dict[str, Any]):
    """Out of order, repeated, incomplete, unknown: whatever comes, there is a body, and it is a response."""
    assembly = assembled(_sent([_event(one) for one in events]), asked)

    call = openai_responses.response(openai_responses.request(asked), assembly.body())

    assert holds(openai_responses.render_response(call), openai_responses.strip_capture(assembly.body(), asked))


@given(st.sampled_from(STREAMED), st.data())
def test_a_stream_cut_anywhere_is_read(name: str, data: st.DataObject):
    """At any byte: what has come is a beginning of what would have come."""
    raw = (CORPUS / f"{name}.sse").read_bytes()
    cut = data.draw(st.integers(0, len(raw)))

    body = assembled(list(Events().feed(raw[:cut]))).body()

    call = openai_responses.response(ModelCall(model="policy"), body)
    whole = openai_responses.response(ModelCall(model="policy"), answer(name))
    said = [one.message.content or "" for one in call.choices]
    assert all((one.message.content or "").startswith(begun) for begun, one in zip(said, whole.choices, strict=False))


@given(st.sampled_from(STREAMED), st.data())
def test_pieces_may_come_in_any_order_and_again(name: str, data: st.DataObject):
    """An item that was said as a whole is that, whatever of it comes before or after."""
    events = events_of(name)[:-1]
    shuffled = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=4))]))

    assert assembled(shuffled).body().get("output", []) == answer(name)["output"]
