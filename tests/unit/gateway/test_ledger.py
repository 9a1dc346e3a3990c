"""Requests are counted as they leave: in the log, in the notes of what is under way, and against a budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp
import pytest
from aiohttp import web

from agl_core.gateway import Gateway, Ledger
from agl_core.run import Budget

from .conftest import KEY, KeptCalls, KnownAttempts, Scene, ScriptedModel, admission, question

pytestmark = pytest.mark.anyio


@dataclass
class Covered:
    """A gateway with a budget of one call."""

    ledger: Ledger
    gateway: Gateway
    model: ScriptedModel
    calls: KeptCalls
    url: str
    client: aiohttp.ClientSession

    async def ask(self, route: str = "chat/completions") -> aiohttp.ClientResponse:
        """One question."""
        headers = {"authorization": f"Bearer {KEY}"}
        return await self.client.post(f"{self.url}/{route}", json=question(), headers=headers)


@pytest.fixture
async def covered(scene: Scene) -> AsyncIterator[Covered]:
    """Started, and in front of the scene's model."""
    calls, ledger = KeptCalls(), Ledger(Budget(calls=1))
    gateway = Gateway(calls, KnownAttempts(admission()), ledger=ledger, backoff=(0.0,))
    url = f"{await gateway.start()}/rollout/ro-1/attempt/at-1/v1"
    gateway.register(replace(scene.endpoint, dialects=("openai.chat", "anthropic.messages")))
    yield Covered(ledger, gateway, scene.model, calls, url, scene.client)
    await gateway.stop()


def busy() -> web.Response:
    """An endpoint that cannot just now."""
    return web.json_response({"error": {"message": "later", "code": "busy"}}, status=503)


async def test_each_try_is_a_request_and_is_noted_before_it_leaves(scene: Scene):
    """If this process dies in the third, the log knows of three."""
    scene.model.replies = [busy(), busy()]

    await scene.ask()

    (event,) = scene.calls.events
    assert (event.requests, event.tries) == (3, ("http_503", "http_503"))
    assert scene.calls.begun == [event.call_id] * 3


async def test_a_request_that_nobody_could_hear_is_none(scene: Scene, free_tcp_port: int):
    """The call is recorded, and cost nothing."""
    scene.gateway.register(replace(scene.endpoint, url=f"http://127.0.0.1:{free_tcp_port}/v1"))

    status, _ = await scene.ask()

    (event,) = scene.calls.events
    assert (status, event.error, event.requests) == (502, "endpoint_down", 0)


async def test_a_call_that_is_not_covered_waits_and_leaves_no_trace(covered: Covered):
    """It is not answered with an error; when the gateway stops, it is refused with the reason."""
    first = await covered.ask()
    second = asyncio.create_task(covered.ask())
    await asyncio.wrap_future(covered.ledger.dry)
    waiting = covered.ledger.waiting
    await covered.gateway.stop()
    refused = await second

    assert (first.status, refused.status, (await refused.json())["error"]["code"]) == (200, 503, "BUDGET_SPENT")
    assert waiting == {"at-1"}
    assert len(covered.calls.begun) == len(covered.calls.events) == len(covered.model.asked) == 1


async def test_a_try_that_is_not_covered_waits_and_one_that_gives_up_is_recorded_as_it_was(covered: Covered):
    """The endpoint heard one request, and the log says so."""
    covered.model.replies = [busy()]

    asking = asyncio.create_task(covered.ask())
    await asyncio.wrap_future(covered.ledger.dry)
    asking.cancel()
    await covered.calls.kept.acquire()

    (event,) = covered.calls.events
    assert (event.requests, event.tries, event.error) == (1, ("http_503",), "client_disconnected")
    assert not covered.ledger.waiting


async def test_counting_tokens_is_no_call(covered: Covered):
    """It goes on when all is spent: a question about a question costs nothing."""
    await covered.ask()

    counted = await covered.ask("messages/count_tokens")

    assert counted.status == 404, "the endpoint was asked, and does not know"
    assert covered.ledger.spending.calls == 1
    assert not covered.ledger.dry.done()
