"""Agents on the SDK in a run: by its agent's name, each call is kept for training or left out."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import openai
import pytest

import agl_core as agl
from agl_core.events import CallRecorded
from agl_core.testing import ScriptedModel

pytest.importorskip("agl_triplets", reason="another distribution makes rows of calls")

PATIENCE = 60


class Select:
    """Two rollouts of a task, and the calls of one agent."""

    name = "select"

    def __init__(self, agent: str) -> None:
        self.agent = agent

    async def run(self, run: agl.Run) -> None:
        """One batch."""
        outcomes = await run.rollouts(run.train, repeat=2)
        self.batch = run.adapt(outcomes, "triplets", agent=self.agent)


@pytest.fixture
def fit(tmp_path):
    """Runs an agent, and says what of it is kept for one agent's training."""

    def fitting(work, agent: str):
        @agl.rollout
        async def asking(task: dict, llm: agl.LLM) -> float:
            await work(llm)
            return 1.0

        select, path = Select(agent), tmp_path / "log.db"
        with ScriptedModel("It is 42.", owner="vllm") as model:
            models = {"policy": f"{model.url}#policy"}
            agl.Trainer(algorithm=select, models=models, store=str(path)).fit(asking, train_dataset=[{"q": 1}])
        with agl.open_log(str(path), readonly=True) as log:
            calls = [record.event for record in log.read() if isinstance(record.event, CallRecorded)]
        return select.batch, calls

    return fitting


def ask(client, words: str):
    """One call."""
    return client.chat.completions.create(model="policy", messages=[{"role": "user", "content": words}])


def agents_kept(batch, calls) -> set[str | None]:
    """Whose calls became rows."""
    dropped = {one.call_id for one in batch.dropped}
    return {call.agent for call in calls if call.call_id not in dropped}


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

    batch, calls = fit(work, agent)

    assert Counter(call.agent for call in calls) == {"writer": 4, "critic": 2}
    assert agents_kept(batch, calls) == {agent}
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

    batch, calls = fit(work, agent)

    assert Counter(call.agent for call in calls) == {"writer": 2, "critic": 2}
    assert agents_kept(batch, calls) == {agent}
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

    batch, calls = fit(work, agent)

    assert Counter(call.agent for call in calls) == {"writer": 2, "critic": 2}
    assert agents_kept(batch, calls) == {agent}
    assert batch.kept == 2
