"""A streamed call ends when its stream does, however that is; its bytes reach the agent unchanged, and at once."""

from __future__ import annotations

import asyncio
import gc
import gzip
import weakref
import zlib
from threading import Event

import httpx
import pytest

from agl_core.tap import tapped
from agl_core.testing import Answer, Broken, Failing, Refusal, ScriptedModel, Stalled, in_turn

from .conftest import SSE, STREAM, URL, chunk, question, sdk, sdk_async


def sending(http, pieces, **headers):
    """A client whose every answer is a stream of those pieces."""

    def answer(_request):
        return http.Response(200, headers={**SSE, **headers}, content=iter(pieces))

    return http.Client(transport=http.MockTransport(answer))


def sending_async(http, pieces):
    """The same for coroutines."""

    async def content():
        for piece in pieces:
            yield piece

    async def answer(_request):
        return http.Response(200, headers=SSE, content=content())

    return http.AsyncClient(transport=http.MockTransport(answer))


def test_a_stream_of_the_sdk_is_recorded_when_it_ends(attempt):
    """Text, reason and the time to its first piece; not before it has ended."""
    with ScriptedModel("forty-two") as model, sdk(model) as client, attempt.tapped():
        stream = client.chat.completions.create(**question("2+2"), stream=True, stream_options={"include_usage": True})
        before = len(attempt.calls())
        text = "".join(one.choices[0].delta.content or "" for one in stream if one.choices)

    call = attempt.call()
    assert (before, text) == (0, "forty-two")
    assert (call.status, call.error, call.http_status) == ("ok", None, 200)
    assert call.call.choices[0].message.content == "forty-two"
    assert call.call.choices[0].finish_reason == "stop"
    assert call.call.usage.completion_tokens > 0
    assert 0 < call.first_token < call.latency


def test_the_bytes_pass_through_unchanged_and_at_once(attempt, http):
    """The agent has a piece before the provider makes the next; nothing is read that the agent does not read."""
    made = []

    def provider():
        for piece in STREAM:
            made.append(piece)
            yield piece

    seen, ahead = [], []
    with (
        sending(http, provider()) as client,
        attempt.tapped(),
        client.stream("POST", URL, json=question(stream=True)) as response,
    ):
        untouched = len(made)
        for piece in response.iter_raw():
            seen.append(piece)
            ahead.append(len(made) - len(seen))

    assert untouched == 0
    assert tuple(seen) == STREAM
    assert ahead == [0] * len(STREAM)
    assert attempt.call().status == "ok"


def test_an_async_stream_passes_through_unchanged(attempt, http):
    """And is recorded."""

    async def story():
        async with sending_async(http, STREAM) as client:
            with attempt.running():
                async with client.stream("POST", URL, json=question(stream=True)) as response:
                    return [piece async for piece in response.aiter_raw()]

    with tapped():
        seen = asyncio.run(story())

    assert tuple(seen) == STREAM
    assert (attempt.call().status, attempt.call().call.choices[0].message.content) == ("ok", "four")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_a_compressed_stream_is_read_as_the_client_reads_it(attempt, http, pack):
    """Our copy is unpacked; the agent's bytes are the provider's."""
    packed = pack(b"".join(STREAM))
    name = "gzip" if pack is gzip.compress else "deflate"
    pieces = [packed[:9], packed[9:20], packed[20:]]
    with (
        sending(http, pieces, **{"content-encoding": name}) as client,
        attempt.tapped(),
        client.stream("POST", URL, json=question(stream=True)) as response,
    ):
        seen = list(response.iter_raw())

    assert seen == pieces
    assert (attempt.call().status, attempt.call().call.choices[0].message.content) == ("ok", "four")


def test_what_is_not_streamed_may_be_read_late(attempt, http):
    """`with_streaming_response` of the SDK: the body is the agent's to read, when it likes."""
    with (
        ScriptedModel("four") as model,
        sdk(model) as client,
        attempt.tapped(),
        client.chat.completions.with_streaming_response.create(**question()) as response,
    ):
        before = len(attempt.calls())
        parsed = response.parse()

    assert before == 0
    assert parsed.choices[0].message.content == "four"
    assert (attempt.call().status, attempt.call().first_token) == ("ok", None)


def test_a_stream_that_is_closed_early_is_broken(attempt):
    """What had come is kept."""
    model = ScriptedModel(Answer(text="one two three", pieces=["one ", "two ", "three"]))
    with model, sdk(model) as client, attempt.tapped():
        stream = client.chat.completions.create(**question(), stream=True)
        for one in stream:
            if one.choices[0].delta.content == "one ":
                break
        stream.close()

    call = attempt.call()
    assert (call.status, call.error, call.http_status) == ("broken", "client_disconnected", 200)
    assert call.call.choices[0].message.content.startswith("one ")


def test_a_stream_that_is_abandoned_half_way_is_broken(attempt):
    """Nobody closes it; it is dropped."""
    with ScriptedModel("four") as model, sdk(model) as client, attempt.tapped():
        stream = iter(client.chat.completions.create(**question(), stream=True))
        next(stream)
        del stream
        gc.collect()

    assert (attempt.call().status, attempt.call().error) == ("broken", "client_disconnected")


def test_a_response_that_nobody_reads_is_broken(attempt, http):
    """And the tap does not keep it alive."""
    with sending(http, STREAM) as client, attempt.tapped():
        response = client.send(client.build_request("POST", URL, json=question(stream=True)), stream=True)
        alive = weakref.ref(response)
        del response
        for _ in range(100):  # while another thread collects, this does nothing
            gc.collect()
            if alive() is None:
                break

    assert alive() is None
    assert (attempt.call().status, attempt.call().error) == ("broken", "client_disconnected")


def test_an_async_generator_that_is_abandoned_is_broken(attempt, http):
    """An agent that yields what the model says, and whose reader leaves."""

    async def agent(client):
        async with client.stream("POST", URL, json=question(stream=True)) as response:
            async for piece in response.aiter_bytes():
                yield piece

    async def story():
        async with sending_async(http, STREAM) as client:
            with attempt.running():
                said = agent(client)
                await anext(said)
                await said.aclose()

    with tapped():
        asyncio.run(story())

    call = attempt.call()
    assert (call.status, call.error) == ("broken", "client_disconnected")
    assert call.call.choices[0].message.content == "fo"


def test_the_attempt_is_the_one_that_sent_not_the_one_that_reads(attempt, http):
    """A stream may be read where no attempt is under way."""
    with sending(http, STREAM) as client, tapped():
        with attempt.running():
            response = client.send(client.build_request("POST", URL, json=question(stream=True)), stream=True)
        response.read()

    assert attempt.call().status == "ok"


def test_a_stream_that_is_under_way_when_the_tap_goes_out_is_still_recorded(attempt, http):
    """It was seen when it left."""
    with sending(http, STREAM) as client:
        with attempt.tapped():
            response = client.send(client.build_request("POST", URL, json=question(stream=True)), stream=True)
        response.read()

    assert attempt.call().status == "ok"


def test_a_stream_that_the_provider_breaks_off_is_broken(attempt):
    """The agent gets its exception, the log what had come."""
    openai = pytest.importorskip("openai")
    script = Broken(after=2, answer=Answer(text="one two three", pieces=["one ", "two ", "three"]))
    with (
        ScriptedModel(script) as model,
        sdk(model) as client,
        attempt.tapped(),
        # The library of OpenAI 2 lets the client's own error through.
        pytest.raises((openai.APIError, httpx.RemoteProtocolError)),
    ):
        list(client.chat.completions.create(**question(), stream=True))

    call = attempt.call()
    assert (call.status, call.error, call.http_status) == ("broken", "upstream_broken", 200)
    assert call.call.choices[0].message.content.startswith("one ")


def test_a_stream_that_ends_too_soon_is_broken(attempt, http):
    """In good order, but not whole."""
    with sending(http, [chunk("fo")]) as client, attempt.tapped():
        client.post(URL, json=question(stream=True))

    assert (attempt.call().status, attempt.call().error) == ("broken", "upstream_broken")


def test_an_error_that_a_stream_tells_is_the_calls(attempt):
    """Status 200 says nothing of how it ends."""
    openai = pytest.importorskip("openai")
    with (
        ScriptedModel(Failing(after=2, code="overloaded")) as model,
        sdk(model) as client,
        tapped(),
        attempt.running(),
        pytest.raises(openai.APIError),
    ):
        list(client.chat.completions.create(**question(), stream=True))

    assert (attempt.call().status, attempt.call().error) == ("error", "overloaded")


def test_a_refused_stream_is_an_error_and_its_retry_names_it(attempt):
    """The SDK closes the refusal unread; its status says enough."""
    script = in_turn(Refusal(status=429, code="slow_down", retry_after=0.01), "four")
    with ScriptedModel(script) as model, sdk(model) as client, attempt.tapped():
        list(client.chat.completions.create(**question(), stream=True))

    first, second = attempt.calls()
    assert (first.status, first.error, first.http_status) == ("error", "http_429", 429)
    assert (second.status, second.retry_of) == ("ok", first.call_id)


def test_a_reader_that_is_cancelled_leaves_a_broken_call(attempt):
    """In the middle of a silence."""
    until = Event()

    async def story(model):
        async with sdk_async(model) as client:
            heard = asyncio.Event()

            async def read():
                with attempt.running():
                    async for _ in await client.chat.completions.create(**question(), stream=True):
                        heard.set()

            reading = asyncio.ensure_future(read())
            await heard.wait()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            until.set()

    with ScriptedModel(Stalled(after=2, until=until)) as model, tapped():
        asyncio.run(story(model))

    assert (attempt.call().status, attempt.call().error) == ("broken", "client_disconnected")


def test_what_a_client_says_of_its_response_is_what_it_said_before(attempt, http):
    """`elapsed` is asked of the stream in one of the libraries."""
    with sending(http, STREAM) as client, attempt.tapped():
        response = client.post(URL, json=question(stream=True))
        streamed = client.send(client.build_request("POST", URL, json=question(stream=True)), stream=True)
        streamed.close()

    assert response.elapsed.total_seconds() >= 0
    assert streamed.elapsed.total_seconds() >= 0
    assert isinstance(streamed.stream, http.SyncByteStream)
