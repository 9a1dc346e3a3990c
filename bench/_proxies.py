"""The programs that `bench/proxy.py` compares, each a process of its own: a model, a bare proxy, our gateway."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

TOKENS = 120
"""Sampled in each answer; with its prompt of 200 that is an event of about three kilobytes."""
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "policy",
        "prompt_token_ids": list(range(200)),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The answer is forty-two. " * 20},
                "finish_reason": "stop",
                "token_ids": list(range(TOKENS)),
                "logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}] * TOKENS},
            }
        ],
        "usage": {"prompt_tokens": 200, "completion_tokens": TOKENS, "total_tokens": 200 + TOKENS},
        "policy_version": 1,
    }
).encode()

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def read(receive: Receive) -> bytes:
    """The body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    return body


CHUNKS = [
    json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "policy",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
    ).encode()
    for delta, finish in ([({"role": "assistant", "content": "The"}, None)] + [({"content": " answer"}, None)] * 30)
    + [({}, "stop")]
]
THINKING = 0.03
"""Seconds between the first piece of a streamed answer and the others."""


async def stream(send: Send) -> None:
    """Answer in pieces: the first at once, the rest after a while."""
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for place, chunk in enumerate(CHUNKS):
        await send({"type": "http.response.body", "body": b"data: " + chunk + b"\n\n", "more_body": True})
        if not place:
            await asyncio.sleep(THINKING)
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def reply(send: Send, body: bytes) -> None:
    """Answer with JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def listen(app: Any, started: asyncio.Future[str]) -> None:
    """Serve `app` on a free port, as lean as uvicorn can, until cancelled."""
    config = uvicorn.Config(app, port=0, http="httptools", lifespan="off", log_config=None, access_log=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    started.set_result(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    await asyncio.Event().wait()


async def model(_upstream: str, started: asyncio.Future[str]) -> None:
    """A model that answers at once, always the same."""

    async def app(_scope: Any, receive: Receive, send: Send) -> None:
        asked = json.loads(await read(receive) or b"{}")
        if asked.get("stream"):
            await stream(send)
        else:
            await reply(send, ANSWER)

    await listen(app, started)


async def bare(upstream: str, started: asyncio.Future[str]) -> None:
    """The limit of the stack: the same server and client, and nothing done in between."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def app(_scope: Any, receive: Receive, send: Send) -> None:
            async with session.post(f"{upstream}/v1/chat/completions", data=await read(receive)) as answer:
                if answer.content_type == "application/json":
                    await reply(send, await answer.read())
                    return
                headers = [(b"content-type", b"text/event-stream")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                async for piece in answer.content.iter_any():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})

        await listen(app, started)


async def gateway(upstream: str, started: asyncio.Future[str]) -> None:
    """Ours, over a log on disk: every call durable before it leaves and before it is answered."""
    from agl_core import open_store
    from agl_core.engine import Endpoint
    from agl_core.gateway import Gateway
    from agl_core.recorder import Recorder

    async with AsyncExitStack() as closing:
        folder = closing.enter_context(tempfile.TemporaryDirectory())
        store = open_store(str(Path(folder, "log.db")))
        served = Gateway(Recorder(store.log), store.ask)
        base = await served.start()
        served.register(Endpoint(url=f"{upstream}/v1", model="policy", max_len=4096))
        rollout = await store.start_rollout({"question": "6*7"})
        attempt = rollout.attempt.attempt_id
        key = store.ask.attempt_key(attempt)
        started.set_result(f"{base}/rollout/{rollout.rollout_id}/attempt/{attempt} {key}")
        await asyncio.Event().wait()


async def main(name: str, upstream: str) -> None:
    """Serve `name`, say where, and end when nobody holds the other end of stdin."""
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task({"model": model, "bare": bare, "gateway": gateway}[name](upstream, started))
    await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    sys.stdout.write(started.result() + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    serving.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
