"""A gateway on loopback between test doubles: a scripted model above, kept calls and known attempts below."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web

from agl_core.engine import Endpoint
from agl_core.errors import UnknownId
from agl_core.events import CallRecorded
from agl_core.gateway import Gateway
from agl_core.record import Record
from agl_core.store import Admission

KEY = "at-1-key"


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio, and so do its tests."""
    return "asyncio"


def admission(**changes: Any) -> Admission:
    """Attempt `at-1` of `ro-1`, open, in a run with a seed."""
    open_one = Admission(
        run_id="run-1",
        rollout_id="ro-1",
        attempt_id="at-1",
        task_id="ta-1",
        repeat=0,
        mode="train",
        seed=7,
        key=KEY,
        is_open=True,
        sampling={},
    )
    return replace(open_one, **changes)


def completion(text: str = "four", **changes: Any) -> dict[str, Any]:
    """What an engine answers that was asked for token ids and log-probabilities."""
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "policy",
        "prompt_token_ids": [1, 2, 3],
        "choices": [choice(0, text)],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "policy_version": 4,
    }
    return {**answer, **changes}


def choice(index: int, text: str) -> dict[str, Any]:
    """One sampled answer of two tokens."""
    return {
        "index": index,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "token_ids": [10 + index, 2],
        "logprobs": {"content": [{"token": text, "logprob": -0.5}, {"token": "", "logprob": -0.25}]},
    }


Play = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KnownAttempts:
    """A test double for the store: attempts by id."""

    def __init__(self, *admissions: Admission) -> None:
        self.by_id = {one.attempt_id: one for one in admissions}

    def admission(self, rollout_id: str, attempt_id: str) -> Admission:
        """As the store answers."""
        found = self.by_id.get(attempt_id)
        if found is None or found.rollout_id != rollout_id:
            raise UnknownId("attempt", attempt_id)
        return found

    def put(self, one: Admission) -> None:
        """Know this attempt from now on."""
        self.by_id[one.attempt_id] = one


class KeptCalls:
    """A test double for the recorder: keeps calls in memory, at once, unless told to fail."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.events: list[CallRecorded] = []
        self.failing: Exception | None = None
        self.noted, self.kept = asyncio.Semaphore(0), asyncio.Semaphore(0)
        """Released once for each call that begins, and that ends."""
        self._loop = asyncio.get_running_loop()

    def for_coroutines(self) -> Self:
        """As it is."""
        return self

    def begin_call(
        self, call_id: str, admission: Admission, /, *, model: str, role: str = "policy", requests: int = 1
    ) -> asyncio.Future[None]:
        """As the recorder does."""
        self.begun.append(call_id)
        self._loop.call_soon_threadsafe(self.noted.release)
        return self._done(None)

    def end_call(self, event: CallRecorded, admission: Admission, /) -> asyncio.Future[Record]:
        """As the recorder does."""
        self.events.append(event)
        self._loop.call_soon_threadsafe(self.kept.release)
        return self._done(None)

    def _done(self, result: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.failing is None:
            future.set_result(result)
        else:
            future.set_exception(self.failing)
        return future


@dataclass
class ScriptedModel:
    """A test double for an engine: answers what it is told to, and remembers what it was asked."""

    url: str = ""
    replies: list[web.Response | dict[str, Any] | Play] = field(default_factory=list)
    """Served in order; then `completion()` for ever. A function plays the answer itself."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Released once for each request."""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    hangs_up: bool = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One chat completion, when the test says so."""
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        self.arrived.release()
        await self.may_answer.wait()
        if self.hangs_up:
            reply = web.StreamResponse(headers={"content-length": "1000"})
            await reply.prepare(request)
            await reply.write(b'{"id": "half')
            assert request.transport is not None
            request.transport.abort()
            return reply
        scripted = self.replies.pop(0) if self.replies else completion()
        if callable(scripted):
            return await scripted(request)
        return scripted if isinstance(scripted, web.Response) else web.json_response(scripted)


@dataclass
class Scene:
    """Everything a test touches."""

    gateway: Gateway
    model: ScriptedModel
    calls: KeptCalls
    attempts: KnownAttempts
    base: str
    client: aiohttp.ClientSession

    @property
    def endpoint(self) -> Endpoint:
        """Where the model is."""
        return Endpoint(url=self.model.url, model="policy", max_len=64)

    def path(self, route: str = "chat/completions", *, rollout: str = "ro-1", attempt: str = "at-1") -> str:
        """The URL of a route."""
        return f"{self.base}/rollout/{rollout}/attempt/{attempt}/v1/{route}"

    async def ask(
        self, body: Any = None, *, key: str = KEY, headers: dict[str, str] | None = None, **where: Any
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one chat completion."""
        status, answer, _ = await self.ask_fully(body, key=key, headers=headers, **where)
        return status, answer

    async def ask_fully(
        self, body: Any = None, *, key: str = KEY, headers: dict[str, str] | None = None, **where: Any
    ) -> tuple[int, dict[str, Any], Any]:
        """The same, and the headers."""
        if body is None or isinstance(body, dict):
            sent: dict[str, Any] = {"json": question(**(body or {}))}
        else:
            sent = {"data": body}
        authorized = {"authorization": f"Bearer {key}", **(headers or {})}
        async with self.client.post(self.path(**where), headers=authorized, **sent) as reply:
            return reply.status, await reply.json(), reply.headers


def question(**changes: Any) -> dict[str, Any]:
    """The least that can be asked."""
    return {"model": "policy", "messages": [{"role": "user", "content": "2+2?"}], **changes}


@pytest.fixture
async def scene(anyio_backend: str) -> AsyncIterator[Scene]:
    """A started gateway whose model `policy` answers at once."""
    model = ScriptedModel()
    model.may_answer.set()
    app = web.Application(client_max_size=32 << 20)
    app.router.add_post("/v1/chat/completions", model.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    calls, attempts = KeptCalls(), KnownAttempts(admission())
    gateway = Gateway(calls, attempts, backoff=(0.0, 0.0))
    base = await gateway.start()
    async with aiohttp.ClientSession() as client:
        scene = Scene(gateway, model, calls, attempts, base, client)
        gateway.register(scene.endpoint, version=3)
        yield scene
    await gateway.stop()
    model.may_answer.set()
    await runner.cleanup()
