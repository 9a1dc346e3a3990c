"""Agents of the SDK in a run: by its agent's name, each call is kept for training or left out."""

from __future__ import annotations

import asyncio
import threading

import openai
import pytest
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool

import agl_core as agl
from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked, selected

pytest.importorskip("agl_triplets", reason="another distribution makes rows of calls")

PATIENCE = 60


def script(asked: Asked) -> Answer:
    """Each uses its one tool, then answers; who hands over does no more."""
    if asked.messages[-1]["role"] == "tool" and "transfer" not in str(asked.messages[-2]):
        return Answer(text="It is 42.")
    name = asked.body["tools"][0]["function"]["name"]
    return Answer(tool_calls=(ToolCall(id=f"call-{name}", name=name, arguments="{}"),))


@pytest.fixture
def fit(tmp_path):
    """Runs an agent, given a maker of models, and says what of it is kept for one agent's training."""

    def fitting(work, agent: str):
        @agl.rollout
        async def asking(task: dict, llm: agl.LLM) -> float:
            async with openai.AsyncOpenAI(base_url=llm.endpoint, api_key=llm.api_key, max_retries=0) as client:
                await work(OpenAIChatCompletionsModel(model=llm.model, openai_client=client))
            return 1.0

        return selected(asking, script, agent=agent, store=tmp_path / "log.db")

    return fitting


def tool(name: str, inside=None):
    """A tool of that name."""

    @function_tool(name_override=name)
    async def work() -> str:
        """Work."""
        if inside is not None:
            await inside()
        return "42"

    return work


def branch(agent: str, tool: str) -> list[str]:
    """An agent that used its tool once."""
    run = "task Agent workflow"
    above = f"{run} > invoke_agent {agent}"
    return [run, above, f"{above} > turn 1", f"{above} > turn 1 > execute_tool {tool}", f"{above} > turn 2"]


@pytest.mark.parametrize(("agent", "kept"), [("forecaster", 4), ("nobody", 0)])
def test_one_agent_with_a_tool(fit, agent, kept):
    """Its calls are one trajectory a rollout; another name keeps none."""

    async def work(model) -> None:
        await Runner.run(Agent(name="forecaster", model=model, tools=[tool("lookup")]), "Go")

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"forecaster": 4}
    assert (batch.kept, len(batch.rows)) == (kept, kept // 2)
    assert ran.ways() == [branch("forecaster", "lookup")] * 2


@pytest.mark.parametrize(("agent", "calls"), [("triage", 1), ("solver", 2)])
def test_one_of_two_agents_with_a_hand_off(fit, agent, calls):
    """Only its calls become rows; the others are dropped as another agent's."""

    async def work(model) -> None:
        solver = Agent(name="solver", model=model, tools=[tool("times")])
        await Runner.run(Agent(name="triage", model=model, handoffs=[solver]), "6 * 7?")

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"triage": 2, "solver": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (2 * calls, 2)
    assert {one.reason for one in batch.dropped} == {"other_agent"}
    run = "task Agent workflow"
    triage, solver = f"{run} > invoke_agent triage", f"{run} > invoke_agent solver"
    handing = [run, triage, f"{triage} > turn 1", f"{triage} > turn 1 > handoff solver"]
    solving = [solver, f"{solver} > turn 2", f"{solver} > turn 2 > execute_tool times", f"{solver} > turn 3"]
    assert ran.ways() == [sorted(handing + solving)] * 2


@pytest.mark.parametrize("agent", ["writer", "Übersetzerin"])
def test_one_of_two_agents_that_take_turns_in_one_loop(fit, agent):
    """Both are in their tools at the same time, in one attempt."""

    async def work(model) -> None:
        together = asyncio.Barrier(2)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(
                *(
                    Runner.run(Agent(name=name, model=model, tools=[tool("meet", together.wait)]), "Go")
                    for name in ("writer", "Übersetzerin")
                )
            )

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "Übersetzerin": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (4, 2)
    assert ran.ways() == [sorted(branch("writer", "meet") + branch("Übersetzerin", "meet"))] * 2


@pytest.mark.parametrize("agent", ["writer", "critic"])
def test_one_of_two_agents_in_threads(fit, agent):
    """Threads that carry their context, each with a loop and a client of its own."""

    async def work(model) -> None:
        together = threading.Barrier(2, timeout=PATIENCE)

        async def meet() -> None:
            together.wait()

        async def asking(name: str) -> None:
            given = model._client
            async with openai.AsyncOpenAI(base_url=given.base_url, api_key=given.api_key, max_retries=0) as client:
                own = OpenAIChatCompletionsModel(model="policy", openai_client=client)
                await Runner.run(Agent(name=name, model=own, tools=[tool("meet", meet)]), "Go")

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(asyncio.to_thread(asyncio.run, asking(name)) for name in ("writer", "critic")))

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "critic": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (4, 2)
    assert ran.ways() == [sorted(branch("writer", "meet") + branch("critic", "meet"))] * 2
