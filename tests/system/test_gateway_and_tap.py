"""One agent, seen through the gateway and seen by the tap: the same calls, in the same words, with the same tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.events import CallRecorded, ToolCall
from agl_core.gateway import Gateway
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.tap import tapped
from agl_core.testing import Answer, ScriptedModel, in_turn

agent = pytest.importorskip("agl_demo.calculator.agent")
pytestmark = pytest.mark.anyio

TASK = {"question": "A baker has six trays of seven rolls. How many rolls?", "answer": 42}
CAPTURED = {"extra_body": {"return_token_ids": True}, "logprobs": True, "temperature": 1.0, "seed": 7}


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio, and so do its tests."""
    return "asyncio"


@pytest.fixture(autouse=True)
async def closed(anyio_backend: str) -> AsyncIterator[None]:
    """The agent keeps clients for its loop, which ends with the test."""
    yield
    for client in agent._CLIENTS.pop(asyncio.get_running_loop(), ()):
        await client.close()


def script() -> Any:
    """First the calculator, then the answer."""
    wish = Answer(tool_calls=(ToolCall(id="t1", name="calculator", arguments='{"expression": "6 * 7"}'),))
    return lambda asked: "The answer is 42." if any(m["role"] == "tool" for m in asked.messages) else wish


@asynccontextmanager
async def attempt(path: Path) -> AsyncIterator[tuple[Any, Scope]]:
    """A store, and an attempt under way in it."""
    store = agl.open_store(str(path))
    rollout = await store.start_rollout(TASK)
    scope = Scope(
        recorder=Recorder(store.log),
        run_id=None,
        rollout_id=rollout.rollout_id,
        attempt_id=rollout.attempt.attempt_id,
    )
    with attributed(scope):
        yield store, scope
    store.close()
    store.log.close()


def recorded(store: Any, scope: Scope) -> list[CallRecorded]:
    """All calls, once they have landed."""
    for pending in list(scope.pending):
        pending.result(timeout=30)
    return [record.event for record in store.log.read(types=["call.recorded"])]


def comparable(event: CallRecorded) -> Any:
    """Without what names and times one call."""
    return replace(event.call, extra={}, logprobs_mode=None), event.role, event.status, event.http_status


@pytest.mark.parametrize("solve", ["_whole", "_streamed"])
async def test_gateway_and_tap_see_the_same_calls(tmp_path: Path, solve: str):
    """The demo's agent, with the SDK it is written in: two turns, a tool between them."""
    ask = getattr(agent, solve)
    # The tap changes no request: what it is to see, the agent has to ask for.
    asked = {**CAPTURED, "stream_options": {"include_usage": True}} if solve == "_streamed" else CAPTURED
    async with attempt(tmp_path / "gateway.db") as (store, scope):
        gateway = Gateway(Recorder(store.log), store.ask)
        base = await gateway.start()
        with ScriptedModel(script()) as model, tapped():
            gateway.register(model.endpoint)
            url = f"{base}/rollout/{scope.rollout_id}/attempt/{scope.attempt_id}/v1"
            llm = agl.LLM(url, "policy", store.ask.attempt_key(scope.attempt_id), asked)
            first = await agent._solved(TASK, llm, ask)
        await gateway.stop()
        through = recorded(store, scope)
    async with attempt(tmp_path / "tap.db") as (store, scope):
        with ScriptedModel(script()) as model, tapped():
            second = await agent._solved(TASK, agl.LLM(model.url, "policy", "sk-1", asked), ask)
        direct = recorded(store, scope)

    assert first == second == 1.0
    assert len(through) == len(direct) == 2
    assert [comparable(event) for event in through] == [comparable(event) for event in direct]
    assert all(event.call.provenance == "engine" for event in [*through, *direct])


async def test_a_call_that_both_see_is_one_call(tmp_path: Path):
    """The gateway is the better witness; the tap names the call, and leaves it to the gateway."""
    async with attempt(tmp_path / "run.db") as (store, scope):
        gateway = Gateway(Recorder(store.log), store.ask)
        base = await gateway.start()
        with ScriptedModel(in_turn("four")) as model, tapped():
            gateway.register(model.endpoint)
            url = f"{base}/rollout/{scope.rollout_id}/attempt/{scope.attempt_id}/v1"
            llm = agl.LLM(url, "policy", store.ask.attempt_key(scope.attempt_id), {})
            await agent._solved(TASK, llm, agent._whole)
        await gateway.stop()

        (event,) = recorded(store, scope)
    assert event.status == "ok"
    assert model.requests[0].headers.get("agl-call-id") is None
