"""The SDK says which agent asks, to the gateway and to nobody else, and is left as it was found."""

from __future__ import annotations

import asyncio

import openai
import pytest
from agl_openai._naming import naming

from agl_core.events import CallRecorded, TracerAttached
from agl_core.gateway import Gateway
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope, agent, attributed
from agl_core.store import Store
from agl_core.testing import ScriptedModel


@pytest.fixture
def log():
    """A log in memory, with the core's tables."""
    with SqliteLog(":memory:", projections=CORE) as log:
        yield log


def test_the_sdk_is_the_very_object_it_was_after_exit(log):
    """Install and uninstall are a pair."""
    before = [vars(client).get("_prepare_request") for client in (openai.OpenAI, openai.AsyncOpenAI)]

    with naming(Recorder(log)):
        during = [vars(client).get("_prepare_request") for client in (openai.OpenAI, openai.AsyncOpenAI)]

    assert [vars(client).get("_prepare_request") for client in (openai.OpenAI, openai.AsyncOpenAI)] == before
    assert all(a is not b for a, b in zip(before, during, strict=True))


def test_the_first_in_may_leave_first(log):
    """Two runs of one process end in the order in which they began, and the SDK is what it was."""
    before = [vars(client).get("_prepare_request") for client in (openai.OpenAI, openai.AsyncOpenAI)]
    first, second = naming(Recorder(log)), naming(Recorder(log))

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    between = [vars(client).get("_prepare_request") for client in (openai.OpenAI, openai.AsyncOpenAI)]
    second.__exit__(None, None, None)

    assert all(a is not b for a, b in zip(before, between, strict=True))
    assert [vars(client).get("_prepare_request") for client in (openai.OpenAI, openai.AsyncOpenAI)] == before


def test_the_tracer_says_what_it_is_attached_to(log):
    """The handshake names package and version."""
    with naming(Recorder(log)):
        pass

    attached = [record.event for record in log.read() if isinstance(record.event, TracerAttached)]
    assert attached == [TracerAttached(name="openai", package="openai", version=openai.__version__)]


def test_calls_carry_the_name_of_the_agent_under_way(log):
    """Sync and async clients; a call outside any agent's name has none."""
    store = Store(log)
    recorder = Recorder(log)

    async def story() -> None:
        gateway = Gateway(recorder, store.ask)
        base = await gateway.start()
        with ScriptedModel("hello") as model, naming(recorder):
            gateway.register(model.endpoint)
            rollout = await store.start_rollout({"q": 1})
            scope = Scope(recorder=recorder, run_id=None, rollout_id=rollout.rollout_id, attempt_id=rollout.attempt_id)
            url = f"{base}/rollout/{rollout.rollout_id}/attempt/{rollout.attempt_id}/v1"
            key = store.ask.attempt_key(rollout.attempt_id)
            question = {"model": model.endpoint.model, "messages": [{"role": "user", "content": "hi"}]}
            with attributed(scope):
                async with openai.AsyncOpenAI(base_url=url, api_key=key) as client:
                    await client.chat.completions.create(**question)
                    with agent("writer"):
                        await client.chat.completions.create(**question)
                with agent("critic"), openai.OpenAI(base_url=url, api_key=key) as plain:
                    await asyncio.to_thread(plain.chat.completions.create, **question)
        await gateway.stop()

    asyncio.run(story())
    store.close()

    calls = [record.event for record in log.read() if isinstance(record.event, CallRecorded)]
    assert [call.agent for call in calls] == [None, "writer", "critic"]
