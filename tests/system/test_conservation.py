"""Every call that was answered is in the log, and every one that left is there or said to be unknown: whatever dies."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import agl_core as agl
from agl_core.wire.sse import said

pytestmark = pytest.mark.anyio

SERVER = """
import asyncio, json, os, sys
import agl_core as agl
from agl_core.engine import Endpoint
from agl_core.gateway import Gateway
from agl_core.recorder import Recorder

async def main(path, upstream, rollouts):
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
        print(line, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""
PLAIN = {
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
CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "policy"}
PIECES = [
    said({**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]})
    for text in ("fo", "ur")
]
LAST = [
    said({**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    said("[DONE]"),
]


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio, and so do its tests."""
    return "asyncio"


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """A socket is a file, and a thousand are soon opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Model:
    """A test double for an engine: answers at once, and counts who asked."""

    asked: int = 0
    breaks: float = 0.0
    """Share of answers that break off in the middle."""
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Four, in one piece or in several."""
        self.asked += 1
        body = await request.json()
        breaks = self.chance.random() < self.breaks
        if not body.get("stream") and not breaks:
            return web.json_response(PLAIN)
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for piece in PIECES if breaks else [*PIECES, *LAST]:
            await reply.write(piece)
            await asyncio.sleep(0)
        if breaks:
            assert request.transport is not None
            request.transport.abort()
        return reply


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
def gateway(path: Path, upstream: str, *, rollouts: int) -> Iterator[tuple[subprocess.Popen[str], list[Any]]]:
    """A process with a store and a gateway, and where its attempts ask."""
    command = [sys.executable, "-c", SERVER, str(path), upstream, str(rollouts)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


class Agents:
    """Many agents at once, who remember which of their calls were answered to the end."""

    def __init__(self, places: list[Any]) -> None:
        self._places = places
        self.answered: set[str] = set()
        self.failed = 0
        self.progress = asyncio.Condition()

    async def ask(self, client: aiohttp.ClientSession, number: int) -> None:
        """One call; every other one is streamed."""
        url, key = self._places[number % len(self._places)]
        streamed = number % 2 == 1
        body = {"model": "policy", "messages": [{"role": "user", "content": f"{number}?"}], "stream": streamed}
        headers = {"authorization": f"Bearer {key}"}
        try:
            async with client.post(f"{url}/chat/completions", json=body, headers=headers) as reply:
                content = await reply.read()
                whole = reply.status == 200 and (not streamed or content.endswith(b"data: [DONE]\n\n"))
                call_id = reply.headers.get("agl-call-id", "")
        except (aiohttp.ClientError, OSError):
            whole, call_id = False, ""
        async with self.progress:
            if whole:
                self.answered.add(call_id)
            else:
                self.failed += 1
            self.progress.notify_all()

    async def until(self, count: int) -> None:
        """So many have been answered, or have failed."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.answered) + self.failed >= count)


async def everything(agents: Agents, count: int) -> None:
    """All calls at once."""
    # A call holds two sockets here, one at each end, and two in the gateway: what one process may open is the limit.
    connector = aiohttp.TCPConnector(limit=6000, force_close=True)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        await asyncio.gather(*(agents.ask(client, number) for number in range(count)))


def kept(path: Path) -> dict[str, str]:
    """Call to its status, once the log has been opened again; nothing is under way any more."""
    store = agl.open_store(str(path))
    try:
        found = {record.event.call_id: record.event.status for record in store.log.read(types=["call.recorded"])}
        assert store.log.rows("select count(*) from in_flight where kind = 'call'") == [(0,)]
    finally:
        store.close()
        store.log.close()
    return found


@pytest.mark.parametrize("death", ["kill", "term", "exit", "fork"])
async def test_what_was_answered_is_kept_whatever_the_gateway_dies_of(tmp_path: Path, death: str):
    """A signal, `os._exit`, a fork that ends: no answered call is missing, none that left is silent."""
    seed, count = 20261122, 400
    model, path = Model(), tmp_path / "log.db"
    async with serving(model) as upstream:
        with gateway(path, upstream, rollouts=8) as (process, places):
            agents = Agents(places)
            asking = asyncio.create_task(everything(agents, count))
            await agents.until(random.Random(f"{seed}{death}").randrange(20, count // 2))
            assert process.stdin is not None
            if death in ("exit", "fork"):
                process.stdin.write(death + "\n")
                process.stdin.flush()
            if death != "exit":
                process.send_signal(signal.SIGTERM if death == "term" else signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            await asking

    found = kept(path)
    print(f"seed {seed}: {death}: {len(agents.answered)} answered, {len(found)} kept, {model.asked} reached the model")
    assert agents.answered
    assert {found.get(call_id) for call_id in agents.answered} == {"ok"}
    assert len(found) >= model.asked
    assert set(found.values()) <= {"ok", "unknown", "broken"}


@pytest.mark.parametrize(
    "count", [500, pytest.param(10_000, marks=pytest.mark.slow)], ids=["five hundred", "ten thousand"]
)
async def test_many_calls_at_once_are_all_kept(tmp_path: Path, count: int):
    """Some of them break off: each is answered or failed, and each is one fact."""
    model, path = Model(breaks=0.1), tmp_path / "log.db"
    async with serving(model) as upstream:
        with gateway(path, upstream, rollouts=50) as (_, places):
            agents = Agents(places)
            await everything(agents, count)

    found = kept(path)
    print(f"{count} at once: {len(agents.answered)} answered, {agents.failed} failed, {len(found)} kept")
    statuses = sorted(found.values())
    assert len(agents.answered) + agents.failed == count == len(found)
    assert {found[call_id] for call_id in agents.answered} == {"ok"}
    assert statuses.count("ok") == len(agents.answered)
    assert statuses.count("broken") == agents.failed > 0


def test_a_forked_process_does_not_touch_the_log(tmp_path: Path):
    """It may end as it likes; the parent's connection is the parent's."""
    log = agl.open_log(str(tmp_path / "log.db"))
    before = log.head()

    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

    from agl_core.events import NoteTaken
    from agl_core.record import Draft

    log.append([Draft(stream="log", event=NoteTaken(text="still here"))])
    assert log.head() == before + 1
    log.close()
