"""Every fault of the test double is the fault that it says it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agl_core.testing import (
    Answer,
    Broken,
    Failing,
    Malformed,
    Refusal,
    ScriptedModel,
    Stalled,
    Unfinished,
    in_turn,
)

openai = pytest.importorskip("openai")

BODY = {"model": "policy", "messages": [{"role": "user", "content": "2+2?"}]}
WHOLE = Answer(text="12345678")
"""A role, two pieces, a finish, `[DONE]`: five events."""


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A client that sees what was sent."""
    with httpx.Client(timeout=30) as client:
        yield client


def stream(http: httpx.Client, model: ScriptedModel) -> Any:
    """A streamed chat completion."""
    return http.stream("POST", f"{model.url}/chat/completions", json={**BODY, "stream": True})


def read(response: httpx.Response) -> list[str]:
    """What the events say."""
    response.read()
    return [line.removeprefix("data: ") for line in response.text.splitlines() if line]


def read_until_it_breaks(response: httpx.Response) -> list[str]:
    """What the events say that came before the connection was closed."""
    pieces: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError):
        pieces.extend(response.iter_raw())
    return [line.removeprefix("data: ") for line in b"".join(pieces).decode().splitlines() if line]


def is_chunk(said: str) -> bool:
    """Whether an event is one of a completion."""
    return bool(json.loads(said).get("choices"))


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_broken_stream_ends_without_its_end(http: httpx.Client, after: int):
    """So many events, then a closed connection."""
    with ScriptedModel(Broken(after=after, answer=WHOLE)) as model, stream(http, model) as response:
        events = read_until_it_breaks(response)

    assert len(events) == after
    assert all(map(is_chunk, events))


def test_a_stream_may_break_after_its_last_event(http: httpx.Client):
    """All was said, and the connection is closed all the same."""
    with ScriptedModel(Broken(after=99, answer=WHOLE)) as model, stream(http, model) as response:
        events = read_until_it_breaks(response)

    assert events[-1] == "[DONE]"


def test_a_broken_body_is_shorter_than_it_says(http: httpx.Client):
    """So many bytes, then a closed connection."""
    with (
        ScriptedModel(Broken(after=7)) as model,
        http.stream("POST", f"{model.url}/chat/completions", json=BODY) as response,
    ):
        pieces: list[bytes] = []
        with pytest.raises(httpx.RemoteProtocolError):
            pieces.extend(response.iter_raw())

    assert response.status_code == 200
    assert sum(map(len, pieces)) <= 7


@pytest.mark.parametrize("streamed", [True, False])
def test_a_reply_may_never_begin(http: httpx.Client, streamed: bool):  # noqa: FBT001 - a parameter of the test
    """Not even a status comes."""
    with ScriptedModel(Broken(after=None)) as model, pytest.raises(httpx.RemoteProtocolError):
        http.post(f"{model.url}/chat/completions", json={**BODY, "stream": streamed})


def test_a_stalled_stream_goes_on_when_the_test_says_so(http: httpx.Client):
    """What came before has arrived by then, and the rest is whole."""
    until = threading.Event()
    with ScriptedModel(Stalled(after=2, until=until, answer=WHOLE)) as model, stream(http, model) as response:
        pieces = response.iter_raw()
        before = b""
        while before.count(b"\n\n") < 2:
            before += next(pieces)
        was_set = until.is_set()
        until.set()
        rest = b"".join(pieces)

    assert not was_set
    assert before.count(b"\n\n") == 2
    assert rest.count(b"\n\n") == 3
    assert rest.endswith(b"data: [DONE]\n\n")


def test_a_stalled_body_goes_on_when_the_test_says_so(http: httpx.Client):
    """Its first bytes come, then the others."""
    until = threading.Event()
    with (
        ScriptedModel(Stalled(after=5, until=until, answer=WHOLE)) as model,
        http.stream("POST", f"{model.url}/chat/completions", json=BODY) as response,
    ):
        pieces = response.iter_raw()
        before = next(pieces)
        until.set()
        whole = before + b"".join(pieces)

    assert len(before) == 5
    assert json.loads(whole)["choices"][0]["message"]["content"] == "12345678"


def test_stopping_ends_what_is_stalled(http: httpx.Client):
    """A test that fails before it sets the event does not hang."""
    model = ScriptedModel(Stalled(after=1, until=threading.Event()))
    model.start()

    with stream(http, model) as response:
        pieces = response.iter_raw()
        next(pieces)
        model.stop()

        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


def test_a_failing_stream_tells_its_error_and_ends(http: httpx.Client):
    """In good order: the error is the news, not the connection."""
    with ScriptedModel(Failing(after=2, code="overloaded", answer=WHOLE)) as model, stream(http, model) as response:
        events = read(response)

    assert all(map(is_chunk, events[:2]))
    assert json.loads(events[2])["error"]["code"] == "overloaded"
    assert events[3:] == ["[DONE]"]


def test_the_sdk_raises_on_a_failing_stream():
    """As it does for a real server."""
    with (
        ScriptedModel(Failing(after=2, code="overloaded")) as model,
        openai.OpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk,
        pytest.raises(openai.APIError, match="failed by the script"),
    ):
        list(sdk.chat.completions.create(**BODY, stream=True))


def test_who_wants_no_stream_is_refused_by_a_failing_answer(http: httpx.Client):
    """There is no middle of a body to fail in."""
    with ScriptedModel(Failing(after=2, code="overloaded", status=503)) as model:
        reply = http.post(f"{model.url}/chat/completions", json=BODY)

    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "overloaded"


def test_a_malformed_event_is_among_good_ones(http: httpx.Client):
    """The next one with its end cut off, and then all there is."""
    with ScriptedModel(Malformed(after=2, answer=WHOLE)) as model, stream(http, model) as response:
        events = read(response)

    with pytest.raises(ValueError, match="delimiter"):
        json.loads(events[2])
    assert events[2] == events[3][:-1]
    assert all(map(is_chunk, [*events[:2], *events[3:5]]))
    assert events[5:] == ["[DONE]"]


@pytest.mark.parametrize("after", [0, 9, 100_000])
def test_a_malformed_body_is_not_json(http: httpx.Client, after: int):
    """It arrives whole, and cannot be read."""
    with ScriptedModel(Malformed(after=after)) as model:
        reply = http.post(f"{model.url}/chat/completions", json=BODY)

    with pytest.raises(ValueError, match="line 1"):
        reply.json()


def test_an_unfinished_stream_has_all_but_its_last_event(http: httpx.Client):
    """Nothing on the connection says that something is missing."""
    with ScriptedModel(Unfinished(answer=WHOLE)) as model, stream(http, model) as response:
        events = read(response)

    assert len(events) == 4
    assert json.loads(events[-1])["choices"][0]["finish_reason"] == "stop"


def test_a_refusal_says_when_to_come_back(http: httpx.Client):
    """Streamed or not, it is a status and a body."""
    refusal = Refusal(status=429, code="rate_limited", retry_after=1.5, headers={"x-limit": "3"})
    with ScriptedModel(refusal) as model:
        reply = http.post(f"{model.url}/chat/completions", json={**BODY, "stream": True})

    assert reply.status_code == 429
    assert reply.headers["retry-after"] == "1.5"
    assert reply.headers["x-limit"] == "3"
    assert reply.json()["error"]["code"] == "rate_limited"


def test_the_sdk_tries_again_until_it_is_answered():
    """Each try of a call gets the next reply."""
    script = in_turn(Refusal(status=503, code="overloaded", retry_after=0.01), Broken(after=None), "four")
    with (
        ScriptedModel(script) as model,
        openai.OpenAI(base_url=model.url, api_key="none", max_retries=2) as sdk,
    ):
        said = sdk.chat.completions.create(**BODY).choices[0].message.content

    assert said == "four"
    assert len(model.requests) == 3


def test_each_call_has_its_own_turns(http: httpx.Client):
    """The last reply stays; a function is asked like a script."""
    other = {**BODY, "temperature": 0.5}
    with ScriptedModel(in_turn("first", lambda asked: f"then {asked.last}")) as model:
        asked = [BODY, BODY, other, BODY, other]
        replies = [http.post(f"{model.url}/chat/completions", json=body).json() for body in asked]

    said = [reply["choices"][0]["message"]["content"] for reply in replies]
    assert said == ["first", "then 2+2?", "first", "then 2+2?", "then 2+2?"]


def test_no_replies_cannot_be_taken_in_turn():
    """Said where the test is written."""
    with pytest.raises(ValueError, match="at least one"):
        in_turn()
