"""The SDK says which agent asks, to the gateway and to nobody else."""

from __future__ import annotations

import asyncio
import threading

import openai
import pytest
from agl_openai import agl_install_tracer

from agl_core.errors import LogError
from agl_core.recorder import Recorder, agent, attributed
from agl_core.testing import Refusal, ScriptedModel

ASK = {"model": "policy", "messages": [{"role": "user", "content": "hi"}]}
PATIENCE = 60


async def _chat(client) -> None:
    await client.chat.completions.create(**ASK)


async def _stream(client) -> None:
    async for _chunk in await client.chat.completions.create(**ASK, stream=True):
        pass


async def _respond(client) -> None:
    await client.responses.create(model="policy", input="hi")


async def _complete(client) -> None:
    await client.completions.create(model="policy", prompt="hi")


async def _embed(client) -> None:
    await client.embeddings.create(model="policy", input="hi")


@pytest.mark.parametrize("ask", [_chat, _stream, _respond, _complete, _embed])
def test_calls_carry_the_name_of_the_agent_under_way(world, ask):
    """Over every route; outside any agent's name a call has none."""

    async def story() -> None:
        async with world.attempts() as [attempt]:
            with agl_install_tracer(recorder=world.recorder), attributed(attempt.scope):
                async with openai.AsyncOpenAI(**attempt.client) as client:
                    await ask(client)
                    with agent("writer"):
                        await ask(client)
                    await ask(client)

    asyncio.run(story())

    assert [(call.agent, call.status) for call in world.called()] == [(None, "ok"), ("writer", "ok"), (None, "ok")]


def test_a_client_in_a_thread_carries_it_too(world):
    """One that is not async, in a thread that carries its context; and a name of any letters."""

    async def story() -> None:
        async with world.attempts() as [attempt]:
            tracer = agl_install_tracer(recorder=world.recorder)
            with tracer, attributed(attempt.scope), agent("Übersetzerin"), openai.OpenAI(**attempt.client) as client:
                await asyncio.to_thread(client.chat.completions.create, **ASK)

    asyncio.run(story())

    assert [call.agent for call in world.called()] == ["Übersetzerin"]


def test_two_attempts_in_one_loop_never_mix(world):
    """Both are under their agent's name at the same time, with one client each."""

    async def asking(attempt, together) -> None:
        with attributed(attempt.scope), agent(f"agent of {attempt.scope.attempt_id}"):
            async with openai.AsyncOpenAI(**attempt.client) as client:
                await together.wait()
                await client.chat.completions.create(**ASK)

    async def story() -> None:
        async with world.attempts(2) as attempts:
            with agl_install_tracer(recorder=world.recorder):
                together = asyncio.Barrier(2)
                async with asyncio.timeout(PATIENCE):
                    await asyncio.gather(*(asking(attempt, together) for attempt in attempts))

    asyncio.run(story())

    assert len(world.called()) == 2
    assert all(call.agent == f"agent of {call.attempt_id}" for call in world.called())


def test_two_attempts_in_threads_never_mix(world):
    """The same, each in a thread of its own."""
    together = threading.Barrier(2, timeout=PATIENCE)

    def asking(attempt) -> None:
        named = agent(f"agent of {attempt.scope.attempt_id}")
        with attributed(attempt.scope), named, openai.OpenAI(**attempt.client) as client:
            together.wait()
            client.chat.completions.create(**ASK)

    async def story() -> None:
        async with world.attempts(2) as attempts:
            with agl_install_tracer(recorder=world.recorder):
                await asyncio.gather(*(asyncio.to_thread(asking, attempt) for attempt in attempts))

    asyncio.run(story())

    assert len(world.called()) == 2
    assert all(call.agent == f"agent of {call.attempt_id}" for call in world.called())


def test_a_header_of_the_agents_own_stays(world):
    """Who says it for itself knows better."""

    async def story() -> None:
        async with world.attempts() as [attempt]:
            with agl_install_tracer(recorder=world.recorder), attributed(attempt.scope), agent("writer"):
                async with openai.AsyncOpenAI(**attempt.client) as client:
                    await client.chat.completions.create(**ASK, extra_headers={"AGL-Agent": "critic"})

    asyncio.run(story())

    assert [call.agent for call in world.called()] == ["critic"]


def test_a_foreign_host_is_told_nothing(world):
    """Inside an attempt, and inside an agent's name."""

    async def story() -> None:
        async with world.attempts() as [attempt]:
            with ScriptedModel("hello") as foreign, openai.OpenAI(base_url=foreign.url, api_key="sk-own") as client:
                with agl_install_tracer(recorder=world.recorder), attributed(attempt.scope), agent("writer"):
                    client.chat.completions.create(**ASK)
                return foreign.requests

    (request,) = asyncio.run(story())

    assert not [name for name in request.headers if name.lower().startswith("agl-")]


def test_nothing_is_said_outside_attempts_before_and_after(world):
    """And the requests are made as ever."""

    async def story() -> None:
        async with world.attempts() as [attempt], openai.AsyncOpenAI(**attempt.client) as client:
            with attributed(attempt.scope), agent("before"):
                await _chat(client)
            with agl_install_tracer(recorder=world.recorder):
                await _chat(client)
            with attributed(attempt.scope), agent("after"):
                await _chat(client)

    asyncio.run(story())

    assert [(call.agent, call.status) for call in world.called()] == [(None, "ok")] * 3


def test_what_the_sdk_raises_is_raised_as_ever(world):
    """The same error, with the tracer and without."""

    async def raised(client) -> tuple[type, str]:
        with pytest.raises(openai.BadRequestError) as error:
            await _chat(client)
        return type(error.value), str(error.value)

    async def story():
        refusal = Refusal(status=400, code="context_length_exceeded", message="too long")
        async with world.attempts(script=refusal) as [one], openai.AsyncOpenAI(**one.client) as client:
            with attributed(one.scope):
                without = await raised(client)
                with agl_install_tracer(recorder=world.recorder):
                    return without, await raised(client)

    without, with_it = asyncio.run(story())

    assert without == with_it


class Deaf(Recorder):
    """It cannot keep a thing."""

    def record(self, *_event, **_fields):
        """Never."""
        raise LogError("nothing can be kept")


def test_a_log_that_keeps_nothing_costs_the_agent_nothing(world):
    """A name is a header: there is nothing to keep."""

    async def story() -> None:
        async with world.attempts() as [attempt]:
            with agl_install_tracer(recorder=Deaf(world.log)), attributed(attempt.scope), agent("writer"):
                async with openai.AsyncOpenAI(**attempt.client) as client:
                    await _chat(client)

    asyncio.run(story())

    assert [call.agent for call in world.called()] == ["writer"]
