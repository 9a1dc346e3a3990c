"""Streams go through as they come, and are kept: whole, broken off, or given up by who asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agl_core.wire.sse import Events, said

from .conftest import KEY, Scene, completion, question

pytestmark = pytest.mark.anyio

ANSWER = completion("four")
USAGE = ANSWER["usage"]


def chunk(delta: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": None}
    top = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "policy", "policy_version": 4}
    return {**top, "choices": [{**choice, **changes}]}


PIECES = [
    said({**chunk({"role": "assistant", "content": ""}), "prompt_token_ids": [1, 2, 3]}),
    said(chunk({"content": "fo"}, token_ids=[10], logprobs={"content": [{"token": "four", "logprob": -0.5}]})),
    said(chunk({"content": "ur"}, token_ids=[2], logprobs={"content": [{"token": "", "logprob": -0.25}]})),
    said(chunk(finish_reason="stop")),
    said({**chunk(), "choices": [], "usage": USAGE}),
    said("[DONE]"),
]


def plays(pieces: list[bytes], *, step: asyncio.Semaphore | None = None, breaks: bool = False) -> Any:
    """An endpoint that streams, a piece each time it is told to."""

    async def play(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for piece in pieces:
            if step is not None:
                await step.acquire()
            await reply.write(piece)
        if breaks:
            assert request.transport is not None
            request.transport.abort()
        return reply

    return play


@asynccontextmanager
async def asking(scene: Scene, **changes: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    """A request whose answer is read by hand."""
    headers = {"authorization": f"Bearer {KEY}"}
    body = question(stream=True, **changes)
    async with scene.client.post(scene.path(), json=body, headers=headers) as reply:
        yield reply


async def until(reply: aiohttp.ClientResponse, holds: Callable[[bytes], bool]) -> bytes:
    """What has come by the time it holds."""
    seen = b""
    while not holds(seen):
        seen += await reply.content.readany()
    return seen


def text(content: bytes) -> str:
    """What the chunks say."""
    chunks = [event.json() or {} for event in Events().feed(content)]
    return "".join(one["choices"][0]["delta"].get("content", "") for one in chunks if one.get("choices"))


async def test_a_piece_arrives_before_the_next_is_made(scene: Scene):
    """True streaming: nothing is collected first."""
    step = asyncio.Semaphore(2)
    scene.model.replies.append(plays(PIECES, step=step))

    async with asking(scene) as reply:
        first = await until(reply, lambda seen: text(seen) == "fo")
        assert scene.calls.events == []
        for _ in PIECES:
            step.release()
        rest = await reply.read()

    assert reply.content_type == "text/event-stream"
    assert text(first + rest) == "four"
    assert rest.endswith(b"data: [DONE]\n\n")


async def test_a_streamed_call_is_kept_as_if_it_had_not_been_streamed(scene: Scene):
    """Text, ids, log-probabilities, usage, version: only the times differ."""
    scene.model.replies += [plays(PIECES), ANSWER]

    async with asking(scene) as reply:
        await reply.read()
    await scene.ask({"stream": False})

    streamed, plain = scene.calls.events
    assert streamed.call.choices == plain.call.choices
    assert streamed.call.prompt_token_ids == plain.call.prompt_token_ids == (1, 2, 3)
    assert (streamed.call.usage, streamed.policy_version) == (plain.call.usage, 4)
    assert (streamed.status, streamed.call.provenance) == ("ok", "engine")
    assert streamed.first_token is not None
    assert 0 < streamed.first_token <= streamed.latency
    assert plain.first_token is None


async def test_the_end_comes_when_the_call_is_kept(scene: Scene):
    """An agent that has read its answer has a call in the log."""
    landing: Future[None] = Future()
    end_call = scene.calls.end_call

    async def slowly(event: Any, admission: Any) -> None:
        await end_call(event, admission)
        await asyncio.wrap_future(landing)

    scene.calls.end_call = slowly  # type: ignore[assignment]  # a log that takes its time
    scene.model.replies.append(plays(PIECES))

    async with asking(scene) as reply:
        seen = await until(reply, lambda seen: text(seen) == "four")
        await scene.calls.kept.acquire()
        assert b"[DONE]" not in seen + reply.content.read_nowait()
        landing.set_result(None)
        rest = await reply.read()

    assert rest.endswith(b"data: [DONE]\n\n")


async def test_what_was_asked_for_only_to_be_kept_is_not_shown(scene: Scene):
    """Ids, log-probabilities, usage."""
    scene.model.replies.append(plays(PIECES))

    async with asking(scene) as reply:
        shown = await reply.read()

    assert scene.model.asked[0]["return_token_ids"] is True
    assert scene.model.asked[0]["stream_options"] == {"include_usage": True}
    assert b"token_ids" not in shown
    assert b"-0.5" not in shown
    assert b"usage" not in shown


async def test_an_agent_that_hangs_up_leaves_what_had_come(scene: Scene):
    """A broken call, with its first words."""
    scene.model.replies.append(plays(PIECES, step=asyncio.Semaphore(2)))

    async with asking(scene) as reply:
        await until(reply, lambda seen: text(seen) == "fo")
        reply.close()
    await scene.calls.kept.acquire()

    (event,) = scene.calls.events
    assert (event.status, event.error) == ("broken", "client_disconnected")
    assert event.call.choices[0].message.content == "fo"
    assert event.call.choices[0].token_ids == (10,)


async def test_a_stream_that_breaks_off_says_so_to_both(scene: Scene):
    """The log has a broken call, the agent an error in its stream: half an answer never looks whole."""
    scene.model.replies.append(plays(PIECES[:2], breaks=True))

    async with asking(scene) as reply:
        shown = await reply.read()

    (event,) = scene.calls.events
    assert (event.status, event.error) == ("broken", "upstream_broken")
    assert event.call.choices[0].message.content == "fo"
    assert b"UPSTREAM_BROKEN" in shown
    assert b"[DONE]" not in shown


async def test_a_stream_that_ends_too_early_is_broken(scene: Scene):
    """Cleanly closed, and yet without its end."""
    scene.model.replies.append(plays(PIECES[:3]))

    async with asking(scene) as reply:
        shown = await reply.read()

    assert scene.calls.events[0].status == "broken"
    assert b"UPSTREAM_BROKEN" in shown


async def test_an_error_in_a_stream_is_an_error(scene: Scene):
    """The provider's own word for it."""
    error = {"error": {"message": "too hot", "type": "overloaded", "code": "engine_overloaded"}}
    scene.model.replies.append(plays([*PIECES[:2], said(error)]))

    async with asking(scene) as reply:
        shown = await reply.read()

    assert (scene.calls.events[0].status, scene.calls.events[0].error) == ("error", "engine_overloaded")
    assert shown.count(b"too hot") == 1


async def test_a_server_that_marks_no_end_ends_with_its_choices(scene: Scene):
    """Every choice had its reason to end."""
    scene.model.replies.append(plays(PIECES[:4]))

    async with asking(scene) as reply:
        shown = await reply.read()

    assert scene.calls.events[0].status == "ok"
    assert text(shown) == "four"


async def test_a_model_that_does_not_stream_is_streamed_all_the_same(scene: Scene):
    """In one go, when its answer is whole."""
    scene.model.replies.append(ANSWER)

    async with asking(scene) as reply:
        shown = await reply.read()

    assert reply.content_type == "text/event-stream"
    assert text(shown) == "four"
    assert b"token_ids" not in shown
    assert scene.calls.events[0].call.choices[0].token_ids == (10, 2)


async def test_a_refused_stream_is_a_plain_error(scene: Scene):
    """With its status: nothing had begun."""
    error = {"error": {"message": "no", "type": "invalid_request_error", "code": "bad"}}
    scene.model.replies.append(web.json_response(error, status=400))

    async with asking(scene) as reply:
        answer = await reply.json()

    assert (reply.status, answer) == (400, error)
    assert scene.calls.events[0].error == "bad"


async def test_a_call_that_cannot_be_kept_does_not_look_whole(scene: Scene):
    """Its stream ends in an error."""
    scene.model.replies.append(plays(PIECES, step=(step := asyncio.Semaphore(2))))

    async with asking(scene) as reply:
        await until(reply, lambda seen: text(seen) == "fo")
        scene.calls.failing = OSError(28, "No space left on device")
        for _ in PIECES:
            step.release()
        shown = await reply.read()

    assert b"CAPTURE_FAILED" in shown
    assert b"[DONE]" not in shown


async def test_a_gateway_that_stops_keeps_what_had_come(scene: Scene):
    """A stream that is cut off is recorded as that."""
    scene.model.replies.append(plays(PIECES, step=asyncio.Semaphore(2)))

    async with asking(scene) as reply:
        await until(reply, lambda seen: text(seen) == "fo")
        await scene.gateway.stop()

    (event,) = scene.calls.events
    assert (event.status, event.error) == ("broken", "cancelled")
    assert event.call.choices[0].message.content == "fo"


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_bytes_may_be_cut_anywhere(scene: Scene, size: int):
    """A packet's end is no event's end."""
    content = b"".join(PIECES)
    scene.model.replies.append(plays([content[at : at + size] for at in range(0, len(content), size)]))

    async with asking(scene) as reply:
        shown = await reply.read()

    assert text(shown) == "four"
    assert scene.calls.events[0].status == "ok"
