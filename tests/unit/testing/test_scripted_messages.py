"""Anthropic messages of the test double: what is documented, in the order that is documented, and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agl_core.events import ToolCall, Usage
from agl_core.testing import Answer, Broken, Failing, Malformed, Refusal, ScriptedModel, Stalled, Unfinished, in_turn

TWO_CALLS = (
    ToolCall(id="c1", name="add", arguments='{"a": 1, "b": 2}'),
    ToolCall(id="c2", name="now", arguments="{}"),
)
ANSWERS = {
    "text": Answer(text="four é and more"),
    "empty": Answer(),
    "reasoning": Answer(reasoning="two and two", text="four"),
    "refusal": Answer(refusal="I had rather not."),
    "calls": Answer(reasoning="hm", text="let me see", tool_calls=TWO_CALLS),
    "only calls": Answer(tool_calls=TWO_CALLS),
    "own pieces": Answer(text="a bc", pieces=("a", " ", "", "bc")),
}


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A client that sees what was sent."""
    with httpx.Client(timeout=30) as client:
        yield client


def asked(**changes: Any) -> dict[str, Any]:
    """The body of a request."""
    return {"model": "policy", "max_tokens": 999, "messages": [{"role": "user", "content": "2+2?"}], **changes}


def ask(http: httpx.Client, model: ScriptedModel, **changes: Any) -> Any:
    """A message in one piece."""
    return http.post(f"{model.url}/messages", json=asked(**changes)).json()


def stream(http: httpx.Client, model: ScriptedModel, **changes: Any) -> list[dict[str, Any]]:
    """The events of a streamed message; each is named as its data says."""
    reply = http.post(f"{model.url}/messages", json=asked(stream=True, **changes))
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in reply.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def joined(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message of a stream, put together by the rules of the API."""
    message = events[0]["message"]
    written: dict[int, str] = {}
    for event in events[1:]:
        match event:
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(block)
            case {"delta": {"type": "input_json_delta", "partial_json": piece}, "index": index}:
                written[index] = written.get(index, "") + piece
            case {"type": "content_block_delta", "delta": delta, "index": index}:
                for name in delta.keys() & {"text", "thinking", "signature"}:
                    message["content"][index][name] += delta[name]
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                message |= delta
                message["usage"] |= usage
    for index, arguments in written.items():
        message["content"][index]["input"] = json.loads(arguments)
    return message


@pytest.mark.parametrize("limit", [999, 9])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_joined_deltas_are_the_unstreamed_answer(http: httpx.Client, answer: Answer, limit: int):
    """Thinking, text, tool calls, why it stopped and what it used."""
    with ScriptedModel(answer) as model:
        whole = ask(http, model, max_tokens=limit)
        events = stream(http, model, max_tokens=limit)

    assert {**joined(events), "id": None} == {**whole, "id": None}


def test_events_come_in_the_documented_order(http: httpx.Client):
    """A start, blocks that begin and end, a last delta, a stop; and a ping, which means nothing."""
    answer = Answer(reasoning="hm", text="four", tool_calls=TWO_CALLS[1:])
    with ScriptedModel(answer) as model:
        events = stream(http, model)

    assert [(event["type"], event.get("index")) for event in events] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("ping", None),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"] == [
        "thinking_delta",
        "signature_delta",
        "text_delta",
        "input_json_delta",
        "input_json_delta",
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(text="four"), "end_turn"),
        (Answer(text="four" * 300), "max_tokens"),
        (Answer(tool_calls=TWO_CALLS), "tool_use"),
        (Answer(refusal="no"), "refusal"),
        (Answer(text="four", finish_reason="content_filter"), "refusal"),
        (Answer(text="four", finish_reason="pause_turn"), "pause_turn"),
    ],
)
def test_why_it_stopped_is_said_in_anthropics_words(http: httpx.Client, answer: Answer, reason: str):
    """What is no word of OpenAI's is said as it is."""
    with ScriptedModel(answer) as model:
        assert ask(http, model)["stop_reason"] == reason


def test_what_was_cached_is_not_in_the_input(http: httpx.Client):
    """As Anthropic counts."""
    answer = Answer(text="four", usage=Usage(prompt_tokens=7, completion_tokens=5), cached_tokens=6)
    with ScriptedModel(answer) as model:
        usage = ask(http, model)["usage"]

    assert usage["input_tokens"] == 1
    assert usage["cache_read_input_tokens"] == 6
    assert usage["output_tokens"] == 5


def test_tokens_are_counted_before_they_are_sent(http: httpx.Client):
    """The count is that of the message itself, its system prompt included."""
    with ScriptedModel() as model:
        fields = {"system": [{"type": "text", "text": "Be brief."}]}
        body = {name: value for name, value in asked(**fields).items() if name != "max_tokens"}
        counted = http.post(f"{model.url}/messages/count_tokens", json=body).json()
        used = ask(http, model, **fields)["usage"]["input_tokens"]

    assert counted == {"input_tokens": used}


def test_an_answer_that_is_sent_back_is_the_turn_that_was_sampled(http: httpx.Client):
    """The next prompt is longer by what was sampled and what came after it."""
    with ScriptedModel(ANSWERS["calls"]) as model:
        first = ask(http, model)
        result = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "3"}]}
        again = [
            {"role": "user", "content": "2+2?"},
            {"role": "assistant", "content": first["content"]},
            {"role": "user", "content": [result]},
        ]
        second = ask(http, model, messages=again)

    added = len(b"user:3.assistant:")
    assert second["usage"]["input_tokens"] == sum(first["usage"].values()) + added
    assert model.requests[1].last == "3"


def test_a_piece_arrives_before_the_next_is_made(http: httpx.Client):
    """The server waits at the gate, and the client has all that came before it."""
    gate = threading.Semaphore(0)
    answer = Answer(text="one two", pieces=("one", " two"), gate=gate.acquire)
    with (
        ScriptedModel(answer) as model,
        http.stream("POST", f"{model.url}/messages", json=asked(stream=True)) as response,
    ):
        lines = response.iter_lines()
        opening = [next(lines) for _ in range(9)]
        gate.release()
        first = [next(lines) for _ in range(2)]
        gate.release()
        rest = list(lines)

    assert opening[6] == "event: ping"
    assert '"one"' in first[1]
    assert '" two"' in rest[2]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal(status=400, code="bad"), "invalid_request_error"),
        (Refusal(status=429, code="slow_down", retry_after=3), "rate_limit_error"),
        (Refusal(status=503, code="away"), "api_error"),
        (Refusal(status=529, code="overloaded"), "overloaded_error"),
        (Refusal(status=400, code="billing_error"), "invalid_request_error"),
        (Refusal(status=500, code="timeout_error"), "timeout_error"),
    ],
)
def test_refusals_have_anthropics_shape(http: httpx.Client, refusal: Refusal, kind: str):
    """By the status, unless the code is one of Anthropic's types."""
    with ScriptedModel(refusal) as model:
        reply = http.post(f"{model.url}/messages", json=asked(stream=True))

    assert reply.status_code == refusal.status
    assert reply.json()["type"] == "error"
    assert reply.json()["error"] == {"type": kind, "message": "refused by the script"}
    assert reply.headers.get("retry-after") == ("3" if refusal.retry_after else None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": []}, "messages: Field required"),
        ({"messages": ["hello"]}, "get"),
        ({"messages": [{"role": "user", "content": "x" * 99}]}, "prompt is too long"),
    ],
)
def test_what_is_no_message_is_refused(http: httpx.Client, changes: dict[str, Any], said: str):
    """With the words clients look for."""
    with ScriptedModel(max_len=64) as model:
        reply = http.post(f"{model.url}/messages", json=asked(**changes))

    assert reply.status_code == 400
    assert said in reply.json()["error"]["message"]


def test_a_failing_stream_tells_its_error_and_ends(http: httpx.Client):
    """The error is an event of its own."""
    with ScriptedModel(Failing(after=3, code="overloaded_error", message="Overloaded")) as model:
        events = stream(http, model)

    assert [event["type"] for event in events] == ["message_start", "content_block_start", "ping", "error"]
    assert events[-1]["error"] == {"type": "overloaded_error", "message": "Overloaded"}


def test_an_unfinished_stream_does_not_say_that_it_stops(http: httpx.Client):
    """All else is there."""
    with ScriptedModel(Unfinished(answer="four")) as model:
        events = stream(http, model)

    assert events[-1]["type"] == "message_delta"


def test_a_broken_stream_ends_without_its_end(http: httpx.Client):
    """So many events, then a closed connection."""
    pieces: list[bytes] = []
    with (
        ScriptedModel(Broken(after=2)) as model,
        http.stream("POST", f"{model.url}/messages", json=asked(stream=True)) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        pieces.extend(response.iter_raw())

    assert b"".join(pieces).count(b"\n\n") == 2


def test_a_stalled_stream_goes_on_when_the_test_says_so(http: httpx.Client):
    """The rest is whole."""
    until = threading.Event()
    with (
        ScriptedModel(Stalled(after=1, until=until)) as model,
        http.stream("POST", f"{model.url}/messages", json=asked(stream=True)) as response,
    ):
        lines = response.iter_lines()
        before = [next(lines) for _ in range(3)]
        until.set()
        rest = list(lines)

    assert before[0] == "event: message_start"
    assert rest[-3] == "event: message_stop"


def test_a_malformed_event_is_among_good_ones(http: httpx.Client):
    """Its name is that of the next one, and its JSON is cut off."""
    with ScriptedModel(Malformed(after=1)) as model:
        blocks = http.post(f"{model.url}/messages", json=asked(stream=True)).text.split("\n\n")

    assert blocks[0].startswith("event: message_start")
    assert blocks[2].startswith("event: content_block_start")
    assert blocks[1] == blocks[2][:-1]


def test_models_are_listed_in_anthropics_shape_for_who_speaks_it(http: httpx.Client):
    """Its clients name their version of the API in a header."""
    with ScriptedModel() as model:
        listed = http.get(f"{model.url}/models?limit=20", headers={"anthropic-version": "2023-06-01"}).json()

    assert listed["data"][0]["type"] == "model"
    assert (listed["first_id"], listed["has_more"]) == ("policy", False)


def test_a_call_that_is_tried_again_gets_the_next_reply(http: httpx.Client):
    """Each route counts its own tries."""
    with ScriptedModel(in_turn(Refusal(status=529, code="overloaded"), "four")) as model:
        first = ask(http, model)
        second = ask(http, model)

    assert first["type"] == "error"
    assert second["content"] == [{"type": "text", "text": "four"}]
