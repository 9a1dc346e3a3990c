"""An agent whose branches ask beside each other: each hears in a replay what it heard, whoever comes first."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable
from itertools import count

import httpx
import pytest

import agl_core as agl
from agl_core.errors import ReplayAmbiguous, ReplayUnmatched


def numbers() -> Callable[[object], str]:
    """A script that never says the same twice."""
    numbered = count()
    return lambda _asked: f"number {next(numbered)}"


async def ask(http, llm, text):
    """What the model says to a text."""
    body = {"model": llm.model, "messages": [{"role": "user", "content": text}]}
    key = {"authorization": f"Bearer {llm.api_key}"}
    reply = await http.post(f"{llm.endpoint}/chat/completions", json=body, headers=key)
    reply.raise_for_status()
    return reply.json()["choices"][0]["message"]["content"]


def fan(texts, *, heard):
    """An agent that asks all of them at once, in an order that is another one each time; what each heard is `heard`."""

    @agl.rollout
    async def fanning(task, llm) -> float:
        async def branch(http, text):
            for _ in range(random.randrange(50)):
                await asyncio.sleep(0)
            first = await ask(http, llm, text)
            return first, await ask(http, llm, "Once more.")

        async with httpx.AsyncClient(timeout=30) as http:
            heard.append(await asyncio.gather(*(branch(http, text) for text in texts())))
        return 1.0

    return fanning


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(lambda: ["Think of a number."] * 50, id="identical"),
        pytest.param(
            lambda: [f"Summarise document {n}." for n in range(50)], id="of one template", marks=pytest.mark.slow
        ),
        pytest.param(
            lambda: [f"In session {uuid.uuid4()}: think." for _ in range(50)], id="each with an id of its own"
        ),
    ],
)
def test_fifty_at_once_hear_each_its_own(record, texts):
    """T7: no answer goes to another branch, though all of them then say the same to the letter."""
    heard = []
    recorded = record(fan(texts, heard=heard), numbers())

    again = recorded.replay()

    then, now = heard
    assert now == then
    assert again.is_same


@pytest.mark.slow
def test_tasks_that_nothing_tells_apart_are_ambiguous_and_the_replay_stops(record):
    """T7: made of a set, they have no order in the program; no answer is given that may be another's."""

    @agl.rollout
    async def unordered(task, llm) -> float:
        async with httpx.AsyncClient(timeout=30) as http:
            for one in asyncio.as_completed([ask(http, llm, "Think of a number.") for _ in range(8)]):
                await one
        return 1.0

    again = record(unordered, numbers()).replay()

    assert isinstance(again.departed, ReplayAmbiguous)


@pytest.mark.slow
def test_samples_that_are_drawn_one_after_the_other_in_threads_come_in_their_order(record):
    """A blocking client in an async agent: its calls have no place, and their order is the program's."""
    heard = []

    @agl.rollout
    async def sampling(task, llm) -> float:
        async def alone():
            async with httpx.AsyncClient(timeout=30) as http:
                return await ask(http, llm, "Think of a number.")

        heard.append([await asyncio.to_thread(lambda: asyncio.run(alone())) for _ in range(3)])
        return 1.0

    again = record(sampling, numbers()).replay()

    assert again.is_same
    assert heard == [["number 0", "number 1", "number 2"]] * 2


@pytest.mark.slow
def test_a_branch_that_asks_once_more_is_unmatched(record):
    """T7: the call that was never recorded gets no other call's answer."""
    more = []
    told = fan(lambda: ["Think of a number."] * (3 + len(more)), heard=[])
    recorded = record(told, numbers())

    more.append(1)
    again = recorded.replay()

    assert isinstance(again.departed, ReplayUnmatched | ReplayAmbiguous)
