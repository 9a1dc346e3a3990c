"""OpenAI text completions to a model call and back: whole, in pieces, and as the SDK reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agl_core.events import Choice, Message, ModelCall, Sampling, Tool, Usage
from agl_core.wire import openai_completions
from agl_core.wire.dialect import Assembly, Dialect
from agl_core.wire.sse import Events, Sent, said

_dialect: Dialect = openai_completions

RECORDED = sorted((Path(__file__).parent / "corpus" / "completions").glob("*.json"))
REQUEST = {
    "model": "policy",
    "prompt": "2+2=",
    "max_tokens": 4,
    "temperature": 1,
    "top_p": 0.9,
    "top_k": 5,
    "seed": 3,
    "stop": ["\n"],
    "n": 1,
    "best_of": 2,
    "echo": False,
    "suffix": ".",
    "guided_regex": "[0-9]",
}
RESPONSE: dict[str, Any] = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 12,
    "model": "policy",
    "kv_transfer_params": None,
    "choices": [
        {
            "index": 0,
            "text": "4",
            "logprobs": {"text_offset": [0, 1], "token_logprobs": [-0.5, -0.25], "tokens": ["4", ""]},
            "finish_reason": "stop",
            "stop_reason": None,
            "prompt_token_ids": [1, 2, 3],
            "token_ids": [7, 2],
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": None},
}
FRAME = {"id": "cmpl-1", "object": "text_completion", "created": 12, "model": "policy"}
EVERYTHING = {"return_token_ids": True, "logprobs": 1, "stream_options": {"include_usage": True}}


def chunk(text: str = "", *, index: int = 0, **fields: Any) -> dict[str, Any]:
    """A piece of one choice, as vLLM sends it."""
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": None, "stop_reason": None, **fields}
    return {**FRAME, "choices": [choice], "usage": None}


STREAM = [
    chunk(
        "4",
        token_ids=[7],
        prompt_token_ids=[1, 2, 3],
        logprobs={"text_offset": [0], "token_logprobs": [-0.5], "tokens": ["4"]},
    ),
    chunk(
        "",
        token_ids=[2],
        prompt_token_ids=None,
        logprobs={"text_offset": [1], "token_logprobs": [-0.25], "tokens": [""]},
        finish_reason="stop",
    ),
    {**FRAME, "choices": [], "usage": RESPONSE["usage"]},
]


def heard(chunks: Iterable[Any], asked: dict[str, Any]) -> tuple[Assembly, list[dict[str, Any]]]:
    """The assembly that took `chunks` in, and what its asker saw."""
    assembly = openai_completions.assembly(asked)
    shown = b"".join(assembly.add(event) for one in chunks for event in Events().feed(said(one)))
    return assembly, [body for event in Events().feed(shown) if (body := event.json()) is not None]


# --- requests


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_the_sdk_sends_comes_back_as_it_was(path: Path):
    """Each body that was recorded, on the route that is said."""
    recorded = json.loads(path.read_text("utf-8"))

    call = openai_completions.request(recorded["body"])

    assert openai_completions.render_request(call) == recorded["body"]
    assert call.dialect == "openai.completions"
    assert recorded["path"].removeprefix("/v1/") == openai_completions.ROUTE


def test_a_request_in_the_words_of_the_vocabulary():
    """Names for what has one; the rest stays beside it."""
    call = openai_completions.request(REQUEST)

    assert call == ModelCall(
        model="policy",
        messages=(Message(role="user", content="2+2="),),
        sampling=Sampling(temperature=1.0, top_p=0.9, top_k=5, max_tokens=4, seed=3, stop=("\n",)),
        extra={"n": 1, "best_of": 2, "echo": False, "suffix": ".", "guided_regex": "[0-9]"},
        dialect="openai.completions",
    )
    assert openai_completions.render_request(call) == REQUEST


@pytest.mark.parametrize(
    ("prompt", "texts", "ids"),
    [
        ("a", ["a"], ()),
        ("", [""], ()),
        (["a"], ["a"], ()),
        (["a", "b"], ["a", "b"], ()),
        ([1, 2], [], (1, 2)),
        ([[1, 2]], [], (1, 2)),
        ([[1, 2], [3]], [], ()),
        ([], [], ()),
        (["a", [1]], [], ()),
        ([1, "a"], [], ()),
        ([-1], [], ()),
        (None, [], ()),
        ({"a": 1}, [], ()),
    ],
)
def test_a_prompt_has_four_shapes(prompt: Any, texts: list[str], ids: tuple[int, ...]):
    """Text is said by a user, ids are the call's; what is neither is kept as it came."""
    body = {"model": "policy", "prompt": prompt}

    call = openai_completions.request(body)

    assert [message.content for message in call.messages] == texts
    assert call.prompt_token_ids == ids
    assert openai_completions.render_request(call) == body


def test_the_newer_limit_of_chat_is_a_field_like_any():
    """Here it is no word for `max_tokens`."""
    body = {"model": "policy", "prompt": "a", "max_completion_tokens": 4}

    call = openai_completions.request(body)

    assert call.sampling == Sampling()
    assert openai_completions.render_request(call) == body


def test_a_chat_becomes_a_text_that_the_assistant_goes_on_with():
    """What has no words here, tools and the other dialect's fields, is left out."""
    chat = ModelCall(
        model="policy",
        messages=(
            Message(role="system", content="Be short."),
            Message(role="user", content=[{"type": "text", "text": "2+2?"}, {"type": "image_url"}]),
            Message(role="assistant"),
        ),
        tools=(Tool(name="add"),),
        sampling=Sampling(max_tokens=4),
        prompt_token_ids=(1, 2),
        extra={"tool_choice": "auto", "$response": {"object": "chat.completion"}},
    )

    body = openai_completions.render_request(chat)

    prompt = "system: Be short.\nuser: 2+2?\nassistant: \nassistant:"
    assert body == {"model": "policy", "prompt": prompt, "max_tokens": 4}


def test_what_is_embedded_is_a_prompt_as_it_is():
    """Nobody's turn becomes nobody's turn."""
    embedded = ModelCall(model="m", messages=(Message(role="user", content="a"),), dialect="openai.embeddings")

    assert openai_completions.render_request(embedded)["prompt"] == "a"


# --- responses


def test_a_response_in_the_words_of_the_vocabulary():
    """Tokens and their log-probabilities are kept, whether the asker wanted to see them or not."""
    call = openai_completions.response(openai_completions.request(REQUEST), RESPONSE, logprobs_mode="processed")

    message = Message(role="assistant", content="4")
    assert call.choices == (Choice(message=message, finish_reason="stop", token_ids=(7, 2), logprobs=(-0.5, -0.25)),)
    assert call.prompt_token_ids == (1, 2, 3)
    assert call.usage == Usage(prompt_tokens=3, completion_tokens=2)
    assert (call.response_id, call.provenance, call.logprobs_mode) == ("cmpl-1", "engine", "processed")
    assert openai_completions.render_request(call) == REQUEST


@pytest.mark.parametrize("asked", [{}, {"return_token_ids": True}, {"logprobs": 0}, EVERYTHING])
def test_a_rendered_response_is_what_the_asker_saw(asked: dict[str, Any]):
    """No more than was asked for, and all of that."""
    call = openai_completions.response(openai_completions.request({**REQUEST, **asked}), RESPONSE)

    assert openai_completions.render_response(call) == openai_completions.strip_capture(RESPONSE, asked)


def test_who_did_not_ask_sees_what_others_see():
    """And the original is left alone."""
    shown = openai_completions.strip_capture(RESPONSE, REQUEST)

    assert shown["choices"] == [
        {"index": 0, "text": "4", "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    ]
    assert RESPONSE["choices"][0]["token_ids"] == [7, 2]


def test_no_alternatives_are_log_probabilities_too():
    """`logprobs: 0` asks for those of the sampled tokens."""
    shown = openai_completions.strip_capture(RESPONSE, {"logprobs": 0})

    assert shown["choices"][0]["logprobs"] == RESPONSE["choices"][0]["logprobs"]


def test_several_prompts_have_several_lists_of_ids():
    """A call has a word for one, so the others stay beside it, and nothing of it is trained on."""
    choices = [
        {"index": index, "text": "4", "finish_reason": "stop", "token_ids": [7], "prompt_token_ids": ids}
        for index, ids in enumerate(([1, 2], [3]))
    ]
    asked = {"model": "policy", "prompt": ["2+2=", "3+1="], "return_token_ids": True}

    call = openai_completions.response(openai_completions.request(asked), {"choices": choices})

    assert (call.prompt_token_ids, call.provenance) == ((), "absent")
    assert call.extra["$prompt_token_ids"] == [[1, 2], [3]]
    assert openai_completions.render_request(call) == asked
    assert [one["prompt_token_ids"] for one in openai_completions.render_response(call)["choices"]] == [[1, 2], [3]]


def test_a_prompt_of_ids_needs_none_in_the_answer():
    """They are known."""
    choice = {key: value for key, value in RESPONSE["choices"][0].items() if key != "prompt_token_ids"}

    call = openai_completions.response(openai_completions.request({"prompt": [1, 2]}), {"choices": [choice]})

    assert (call.prompt_token_ids, call.provenance) == ((1, 2), "engine")


def test_ids_that_the_server_changed_are_the_prompt():
    """It cut them, or put a start before them; what was asked is still there."""
    asked = {"model": "policy", "prompt": [2, 3]}

    call = openai_completions.response(openai_completions.request(asked), RESPONSE)

    assert call.prompt_token_ids == (1, 2, 3)
    assert openai_completions.render_request(call) == asked


@pytest.mark.parametrize(
    ("entries", "kept"),
    [
        ([None, -3.0, -2.0, -0.5, -0.25], (-0.5, -0.25)),
        ([-0.5, -0.25], (-0.5, -0.25)),
        ([None, -3.0, -2.0], ()),
        ([-0.5, None], ()),
        ([-0.5], ()),
        ([], ()),
        ("no", ()),
    ],
)
def test_logprobs_are_those_of_what_was_sampled(entries: Any, kept: tuple[float, ...]):
    """An echo has its prompt's before them; of any other length they are none."""
    choice = {**RESPONSE["choices"][0], "logprobs": {"token_logprobs": entries}}

    call = openai_completions.response(
        openai_completions.request({**REQUEST, "echo": True}), {**RESPONSE, "choices": [choice]}
    )

    assert call.choices[0].logprobs == kept


@pytest.mark.parametrize("place", ["choice", "response"])
def test_sglang_tells_tokens_beside_the_answer(place: str):
    """Log-probability, id and text of each; its other words stay as they came."""
    meta = {
        "output_token_logprobs": [[-0.5, 7, "4"], [-0.25, 2, None]],
        "completion_tokens": 2,
        "weight_version": "step-3",
    }
    choice = {"index": 0, "text": "4", "logprobs": None, "finish_reason": "stop"}
    body = (
        {"choices": [choice], "meta_info": meta}
        if place == "response"
        else {"choices": [{**choice, "meta_info": meta}]}
    )

    call = openai_completions.response(openai_completions.request({"prompt": [1, 2]}), body)

    assert call.choices[0].token_ids == (7, 2)
    assert call.choices[0].logprobs == (-0.5, -0.25)
    assert call.provenance == "engine"
    assert "step-3" in json.dumps(call.extra["$response"])


@pytest.mark.parametrize(
    "meta",
    [
        {"output_token_logprobs": [[-0.5, 7, "4"]], "completion_tokens": 2},
        {"output_token_logprobs": [[-0.5, "7", "4"]]},
        {"output_token_logprobs": [[-0.5]]},
        {"output_token_logprobs": ["ab"]},
        {"output_token_logprobs": [{}]},
        {"output_token_logprobs": {}},
        [],
    ],
)
def test_tokens_beside_the_answer_that_are_not_all_are_none(meta: Any):
    """A stream that tells only its last piece's would be short of the others."""
    choice = {"index": 0, "text": "44", "finish_reason": "stop", "meta_info": meta}

    call = openai_completions.response(openai_completions.request({"prompt": [1, 2]}), {"choices": [choice]})

    assert (call.choices[0].token_ids, call.provenance) == ((), "absent")


def test_an_answer_in_another_dialect_is_text():
    """Its own fields stay with it."""
    chat = ModelCall(
        model="policy",
        choices=(Choice(message=Message(role="assistant", content="4"), finish_reason="stop", token_ids=(7,)),),
        extra={"return_token_ids": True, "$response": {"object": "chat.completion"}},
    )

    assert openai_completions.render_response(chat) == {
        "object": "text_completion",
        "model": "policy",
        "choices": [{"index": 0, "text": "4", "logprobs": None, "finish_reason": "stop"}],
    }


# --- capture


def test_capture_asks_for_what_is_recorded():
    """And for usage only where it would not come."""
    whole = openai_completions.add_capture({"prompt": "a"}, token_ids=True, logprobs=True)
    streamed = openai_completions.add_capture({"stream": True}, token_ids=False, logprobs=False)

    assert whole == {"prompt": "a", "return_token_ids": True, "logprobs": 1}
    assert streamed == {"stream": True, "stream_options": {"include_usage": True}}


def test_capture_leaves_what_was_asked():
    """More log-probabilities than one, none but the sampled token's, other options; also options that are none."""
    several = openai_completions.add_capture({"logprobs": 5}, token_ids=False, logprobs=True)
    sampled = openai_completions.add_capture({"logprobs": 0}, token_ids=False, logprobs=True)
    options = openai_completions.add_capture({"stream": True, "stream_options": {"continuous_usage_stats": True}})
    wrong = openai_completions.add_capture({"stream": True, "stream_options": "yes"})

    assert several == {"logprobs": 5}
    assert sampled == {"logprobs": 0}
    assert options["stream_options"] == {"continuous_usage_stats": True, "include_usage": True}
    assert wrong["stream_options"] == "yes"


# --- streams


def test_a_stream_is_the_answer_it_would_have_been():
    """One parser reads both."""
    assembly, shown = heard(STREAM, EVERYTHING)

    body = assembly.body()
    whole = openai_completions.response(openai_completions.request(REQUEST), RESPONSE)
    pieces = openai_completions.response(openai_completions.request(REQUEST), body)
    assert pieces.choices == whole.choices
    assert pieces.usage == whole.usage
    assert pieces.prompt_token_ids == whole.prompt_token_ids
    assert pieces.provenance == "engine"
    assert shown == STREAM


def test_who_did_not_ask_sees_text_alone():
    """No ids, no log-probabilities, and no chunk that holds only usage."""
    _, shown = heard(STREAM, {})

    assert shown == [chunk("4"), chunk("", finish_reason="stop")]


def test_usage_is_taken_out_of_a_chunk_that_says_more():
    """What else there is in it was meant for the asker."""
    _, shown = heard([{**FRAME, "choices": [], "usage": {"prompt_tokens": 1}, "metadata": {"weight_version": "2"}}], {})

    assert shown == [{**FRAME, "choices": [], "metadata": {"weight_version": "2"}}]


def test_what_is_shown_whole_is_shown_as_it_came():
    """Byte by byte: comments, names, odd spaces, what is no JSON."""
    raws = [b": ping\n\n", b'event: a\r\ndata:  {"choices": [ ] }\r\n\r\n', b"data: no\n\n", b"data: [DONE]\n\n"]
    assembly = openai_completions.assembly({})

    shown = [assembly.add(event) for raw in raws for event in Events().feed(raw)]

    assert shown == raws


def test_choices_that_come_in_turns_are_put_in_order():
    """By index, each with its own text and tokens."""
    chunks = [
        chunk("a", index=1, token_ids=[1]),
        chunk("b", index=0, token_ids=[2]),
        chunk("c", index=1, token_ids=[3], finish_reason="stop"),
        chunk("d", index=0, token_ids=[4], finish_reason="length"),
    ]

    assembly, _ = heard(chunks, {"n": 2})

    choices = [(one["text"], one["token_ids"], one["finish_reason"]) for one in assembly.body()["choices"]]
    assert choices == [("bd", [2, 4], "length"), ("ac", [1, 3], "stop")]


@pytest.mark.parametrize("lost", [{}, {"token_ids": None}, {"token_ids": 7}])
def test_text_that_came_without_its_ids_leaves_none(lost: dict[str, Any]):
    """Half of the truth is not trained on."""
    chunks = [chunk("a", token_ids=[1]), chunk("b", **lost), chunk("c", token_ids=[3], finish_reason="stop")]

    assembly, _ = heard(chunks, {})

    assert assembly.body()["choices"][0]["text"] == "abc"
    assert "token_ids" not in assembly.body()["choices"][0]


def test_a_body_does_not_grow_with_its_stream():
    """It is the answer as far as it had come."""
    assembly = openai_completions.assembly(EVERYTHING)
    for event in Events().feed(said(STREAM[0])):
        assembly.add(event)
    body = assembly.body()

    for event in Events().feed(said(STREAM[1])):
        assembly.add(event)

    choice = body["choices"][0]
    assert (choice["token_ids"], choice["logprobs"]["token_logprobs"]) == ([7], [-0.5])


def test_a_stream_is_whole_when_it_says_so():
    """What comes after is noise."""
    assembly = openai_completions.assembly({})
    before = assembly.is_whole

    assembly.add(Sent(b"", "[DONE]"))
    assembly.add(Sent(b"", json.dumps(chunk("late"))))

    assert not before
    assert assembly.is_whole
    assert assembly.body() == {}


@pytest.mark.parametrize(
    ("asked", "finished"),
    [({}, 1), ({"n": 2}, 2), ({"prompt": ["a", "b"]}, 2), ({"prompt": [[1], [2]], "n": 2}, 4), ({"prompt": [1, 2]}, 1)],
)
def test_a_stream_is_whole_when_every_choice_has_finished(asked: dict[str, Any], finished: int):
    """Some servers close without `[DONE]`; a choice that has not begun has not finished."""
    chunks = [chunk("a", index=index, finish_reason="stop") for index in range(finished)]

    short, _ = heard(chunks[:-1], asked)
    whole, _ = heard(chunks, asked)
    one_open, _ = heard([*chunks, chunk("b", index=finished)], asked)

    assert (short.is_whole, whole.is_whole, one_open.is_whole) == (False, True, False)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ({"code": "overloaded", "message": "no"}, "overloaded"),
        ({"type": "BadRequestError", "code": 400}, "BadRequestError"),
        ({"code": 503}, "http_503"),
        ({"message": "maximum context length is 4"}, "context_length_exceeded"),
        ("boom", "http_500"),
    ],
)
def test_an_error_in_a_stream_has_one_stable_word(error: Any, word: str):
    """And is shown as it came."""
    assembly, shown = heard([chunk("a"), {"error": error}], {})

    assert assembly.error == word
    assert shown[-1] == {"error": error}
    assert not assembly.is_whole


@pytest.mark.parametrize("asked", [{}, {"logprobs": 1}, EVERYTHING])
def test_a_rendered_stream_says_what_the_answer_says(asked: dict[str, Any]):
    """Usage only if it was asked for."""
    call = openai_completions.response(openai_completions.request({**REQUEST, **asked}), RESPONSE)

    assembly = openai_completions.assembly({**REQUEST, **asked})
    for raw in openai_completions.render_stream(call):
        for event in Events().feed(raw):
            assembly.add(event)

    expected = openai_completions.render_response(call)
    if asked != EVERYTHING:
        del expected["usage"]
    assert assembly.is_whole
    assert assembly.body() == expected


# --- as the SDK reads it


class Mouth(BaseHTTPRequestHandler):
    """Answers every request with the same bytes."""

    status: int
    answer: bytes
    content_type: str

    def do_POST(self) -> None:
        """Any route."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Content-Type", self.content_type)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def client() -> Iterator[Any]:
    """An SDK client of a server that says what `Mouth` is told."""
    openai = pytest.importorskip("openai")
    with HTTPServer(("127.0.0.1", 0), Mouth) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            yield client
        server.shutdown()
        thread.join()


def test_the_sdk_reads_a_rendered_stream(client: Any):
    """A replay looks like the model did."""
    call = openai_completions.response(openai_completions.request({**REQUEST, **EVERYTHING}), RESPONSE)
    Mouth.status, Mouth.content_type = 200, "text/event-stream"
    Mouth.answer = b"".join(openai_completions.render_stream(call))

    chunks = list(client.completions.create(model="policy", prompt="2+2=", stream=True))

    assert "".join(choice.text for one in chunks for choice in one.choices) == "4"
    assert chunks[-1].usage.total_tokens == 5


def test_the_sdk_raises_when_a_stream_breaks(client: Any):
    """After what it has read, and with our code."""
    import openai

    Mouth.status, Mouth.content_type = 200, "text/event-stream"
    Mouth.answer = said(chunk("4")) + openai_completions.broken("endpoint_down", "the model went away")
    read: list[str] = []

    with pytest.raises(openai.APIError, match="the model went away") as broken:
        read.extend(one.choices[0].text for one in client.completions.create(model="m", prompt="a", stream=True))

    assert broken.value.code == "endpoint_down"


def test_the_sdk_reads_a_refusal(client: Any):
    """Status, code and message, as an exception of its own."""
    import openai

    Mouth.status, Mouth.content_type = 404, "application/json"
    Mouth.answer = json.dumps(openai_completions.refusal(404, "model_not_found", "no such model")).encode()

    with pytest.raises(openai.NotFoundError, match="no such model") as refused:
        client.completions.create(model="m", prompt="a")

    assert (refused.value.code, refused.value.type) == ("model_not_found", "invalid_request_error")
