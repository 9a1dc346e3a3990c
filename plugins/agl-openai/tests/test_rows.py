"""Agents on the SDK in a run: by its agent's name, each call is kept for training or left out."""

from __future__ import annotations

import asyncio
import threading

import openai
import pytest

import agl_core as agl
from agl_core.testing import selected

pytest.importorskip("agl_triplets", reason="another distribution makes rows of calls")

PATIENCE = 60


@pytest.fixture
def fit(tmp_path):
    """Runs an agent, and says what of it is kept for one agent's training."""

    def fitting(work, agent: str):
        @agl.rollout
        async def asking(task: dict, llm: agl.LLM) -> float:
            await work(llm)
            return 1.0

        return selected(asking, "It is 42.", agent=agent, store=tmp_path / "log.db")

    return fitting


def ask(client, words: str):
    """One call."""
    return client.chat.completions.create(model="policy", messages=[{"role": "user", "content": words}])


@pytest.mark.parametrize(("agent", "kept"), [("writer", 4), ("critic", 2)])
def test_one_of_two_agents_in_turns(fit, agent, kept):
    """Only its calls become rows; the others are dropped as another agent's."""

    async def work(llm) -> None:
        async with openai.AsyncOpenAI(base_url=llm.endpoint, api_key=llm.api_key) as client:
            with agl.agent("writer"):
                draft = await ask(client, "Write.")
                with agl.agent("critic"):
                    await ask(client, draft.choices[0].message.content)
                await ask(client, "Once more.")

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "critic": 2}
    assert ran.kept_of(batch) == {agent}
    assert batch.kept == kept
    assert {one.reason for one in batch.dropped} == {"other_agent"}


@pytest.mark.parametrize("agent", ["writer", "critic"])
def test_one_of_two_agents_in_one_loop(fit, agent):
    """Both are about to ask at the same time, with one client."""

    async def work(llm) -> None:
        together = asyncio.Barrier(2)
        async with openai.AsyncOpenAI(base_url=llm.endpoint, api_key=llm.api_key) as client:

            async def asking(name: str) -> None:
                with agl.agent(name):
                    await together.wait()
                    await ask(client, "the same words")

            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(asking("writer"), asking("critic"))

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 2, "critic": 2}
    assert ran.kept_of(batch) == {agent}
    assert batch.kept == 2


@pytest.mark.parametrize("agent", ["writer", "critic"])
def test_one_of_two_agents_in_threads(fit, agent):
    """Threads that carry their context."""

    async def work(llm) -> None:
        together = threading.Barrier(2, timeout=PATIENCE)

        def asking(name: str) -> None:
            with agl.agent(name), openai.OpenAI(base_url=llm.endpoint, api_key=llm.api_key) as client:
                together.wait()
                ask(client, "the same words")

        await asyncio.gather(*(asyncio.to_thread(asking, name) for name in ("writer", "critic")))

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 2, "critic": 2}
    assert ran.kept_of(batch) == {agent}
    assert batch.kept == 2
