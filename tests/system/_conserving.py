"""Calls counted at both ends: a process with a gateway, a model that counts who asked, agents who count answers."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

import agl_core as agl
from agl_core.log import verify
from agl_core.wire.sse import said

__all__ = ["PATIENT", "Agents", "Model", "everything", "gateway", "kept", "many_files", "program", "serving", "told"]

PATIENT = 60_000
"""Milliseconds that a log waits for whoever holds its file, if it is not told otherwise."""
_SERVER = """
import asyncio, json, os, sys
import agl_core as agl
from agl_core.engine import Endpoint
from agl_core.gateway import Gateway
from agl_core.log import _schema
from agl_core.recorder import Recorder

def break_descriptors(path):
    # As if the disk had been mounted read-only under it: what is open stays open, and takes no more.
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target in (path, path + "-wal"):
            readonly = os.open(target, os.O_RDONLY)
            os.dup2(readonly, int(number))
            os.close(readonly)

async def main(path, upstream, rollouts, patience):
    _schema.BUSY_MS = patience
    store = agl.open_store(path)
    gateway = Gateway(Recorder(store.log), store.ask)
    base = await gateway.start()
    gateway.register(Endpoint(url=upstream, model="policy", max_len=4096))
    places = []
    for number in range(rollouts):
        rollout = await store.start_rollout({"q": number})
        attempt = rollout.attempt.attempt_id
        places.append([f"{base}/rollout/{rollout.rollout_id}/attempt/{attempt}/v1", store.ask.attempt_key(attempt)])
    print(json.dumps(places), flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if line == "exit":
            os._exit(7)
        if line == "fork" and os.fork() == 0:
            os._exit(0)
        if line == "break":
            break_descriptors(path)
        print(line, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""
_PLAIN = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "policy",
    "prompt_token_ids": [1, 2, 3],
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "four"},
            "finish_reason": "stop",
            "token_ids": [7, 2],
            "logprobs": {"content": [{"token": "four", "logprob": -0.5}, {"token": "", "logprob": -0.25}]},
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "policy"}
_PIECES = [
    said({**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]})
    for text in ("fo", "ur")
]
_LAST = [
    said({**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    said("[DONE]"),
]


@contextmanager
def many_files() -> Iterator[None]:
    """A socket is a file, and a thousand are soon opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Model:
    """A test double for an engine: answers at once, or when it is let, and counts who asked."""

    asked: int = 0
    breaks: float = 0.0
    """Share of answers that break off in the middle."""
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Four, in one piece or in several."""
        body = await request.json()
        async with self.progress:
            self.asked += 1
            self.progress.notify_all()
        await self.may_answer.wait()
        breaks = self.chance.random() < self.breaks
        if not body.get("stream") and not breaks:
            return web.json_response(_PLAIN)
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for piece in _PIECES if breaks else [*_PIECES, *_LAST]:
            await reply.write(piece)
            await asyncio.sleep(0)
        if breaks:
            assert request.transport is not None
            request.transport.abort()
        return reply

    async def until(self, count: int) -> None:
        """So many have asked."""
        async with self.progress:
            await self.progress.wait_for(lambda: self.asked >= count)


@asynccontextmanager
async def serving(model: Model) -> AsyncIterator[str]:
    """Its base URL."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", model.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=8192)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


@contextmanager
def gateway(
    path: Path, upstream: str, *, rollouts: int, patience: int = PATIENT
) -> Iterator[tuple[subprocess.Popen[str], list[Any]]]:
    """A process with a store and a gateway, and where its attempts ask; it does as its stdin says.

    `exit` and `fork` are what they say; `break` makes the descriptors of its log read-only.
    """
    with program(_SERVER, path, upstream, rollouts, patience) as (process, first):
        yield process, json.loads(first)


@contextmanager
def program(text: str, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of its own for as long as it is needed, and the first line it said."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def told(process: subprocess.Popen[str], line: str) -> str:
    """What a program answers to a line."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline()


class Agents:
    """Many agents at once, who remember which of their calls were answered to the end."""

    def __init__(self, places: list[Any]) -> None:
        self._places = places
        self.answered: set[str] = set()
        self.refused: Counter[str] = Counter()
        """Codes of those that were told why they get no answer, or no whole one; empty for the others."""
        self.shown = 0
        """Streamed calls of whose answer the text has come, its end or not."""
        self.progress = asyncio.Condition()

    @property
    def failed(self) -> int:
        """Calls without a whole answer."""
        return self.refused.total()

    async def ask(self, client: aiohttp.ClientSession, number: int) -> None:
        """One call; every other one is streamed."""
        url, key = self._places[number % len(self._places)]
        streamed = number % 2 == 1
        body = {"model": "policy", "messages": [{"role": "user", "content": f"{number}?"}], "stream": streamed}
        headers = {"authorization": f"Bearer {key}"}
        try:
            async with client.post(f"{url}/chat/completions", json=body, headers=headers) as reply:
                content = await self._read(reply)
                whole = reply.status == 200 and (not streamed or content.endswith(b"data: [DONE]\n\n"))
                call_id = reply.headers.get("agl-call-id", "")
        except (aiohttp.ClientError, OSError):
            whole, call_id, content = False, "", b""
        async with self.progress:
            if whole:
                self.answered.add(call_id)
            else:
                self.refused[_code(content)] += 1
            self.progress.notify_all()

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        content, is_shown = b"", False
        async for piece in reply.content.iter_any():
            content += piece
            if not is_shown and _PIECES[-1] in content:
                is_shown = True
                async with self.progress:
                    self.shown += 1
                    self.progress.notify_all()
        return content

    async def until(self, count: int) -> None:
        """So many have been answered, or have failed."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.answered) + self.failed >= count)

    async def until_shown(self, count: int) -> None:
        """So many streamed answers have come but for their end."""
        async with self.progress:
            await self.progress.wait_for(lambda: self.shown >= count)


async def everything(agents: Agents, count: int) -> None:
    """All calls at once."""
    # A call holds two sockets here, one at each end, and two in the gateway: what one process may open is the limit.
    connector = aiohttp.TCPConnector(limit=6000, force_close=True)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        await asyncio.gather(*(agents.ask(client, number) for number in range(count)))


def kept(path: Path) -> dict[str, str]:
    """Call to its status, once the log has been opened again; nothing is under way any more, and the log is sound."""
    store = agl.open_store(str(path))
    try:
        found = {record.event.call_id: record.event.status for record in store.log.read(types=["call.recorded"])}
        assert store.log.rows("select count(*) from in_flight where kind = 'call'") == [(0,)]
        assert list(verify(store.log)) == []
    finally:
        store.close()
        store.log.close()
    return found


def _code(content: bytes) -> str:
    """Of the error that an answer is, or ends with."""
    last = content.strip().rpartition(b"\n\n")[2].removeprefix(b"data: ")
    try:
        return str(json.loads(last)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""
