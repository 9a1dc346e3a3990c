"""Crews in a run: by its agent's name, each call is kept for training or left out."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

import agl_core as agl
from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked, Ran, ScriptedModel, selected

pytest.importorskip("agl_triplets", reason="another distribution makes rows of calls")

PATIENCE = 60


@tool("times")
def times(a: int, b: int) -> int:
    """Multiply."""
    return a * b


def script(asked: Asked) -> Answer:
    """Who has a tool uses it once, then answers."""
    tools = asked.body.get("tools")
    if not tools or asked.messages[-1]["role"] == "tool":
        return Answer(text="It is 42.")
    name = tools[0]["function"]["name"]
    told = {"times": '{"a": 6, "b": 7}'}
    told["delegate_work_to_coworker"] = '{"task": "6 * 7?", "context": "none", "coworker": "writer"}'
    return Answer(tool_calls=(ToolCall(id=f"call-{name}", name=name, arguments=told.get(name, "{}")),))


@pytest.fixture
def fit(tmp_path):
    """Runs an agent, given a model, and says what of it is kept for one agent's training."""

    def fitting(work, agent: str):
        @agl.rollout
        async def asking(task: dict, llm: agl.LLM) -> float:
            await work(LLM(model=llm.model, provider="openai", base_url=llm.endpoint, api_key=llm.api_key))
            return 1.0

        return selected(asking, script, agent=agent, store=tmp_path / "log.db")

    return fitting


def an_agent(role: str, llm, **fields) -> Agent:
    """Somebody."""
    return Agent(role=role, goal="Answer.", backstory="You know.", llm=llm, **fields)


def a_task(agent: Agent) -> Task:
    """For somebody."""
    return Task(description="6 * 7?", expected_output="A number.", agent=agent)


@pytest.mark.parametrize(("agent", "kept"), [("solver", 4), ("nobody", 0)])
def test_one_agent_with_a_tool(fit, agent, kept):
    """Its calls are one trajectory a rollout; another name keeps none."""

    async def work(llm) -> None:
        await an_agent("solver", llm, tools=[times]).kickoff_async("6 * 7?")

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"solver": 4}
    assert (batch.kept, len(batch.rows)) == (kept, kept // 2)


@pytest.mark.parametrize("way", ["kickoff", "akickoff"])
@pytest.mark.parametrize(("agent", "calls"), [("writer", 2), ("critic", 1)])
def test_one_of_two_agents_that_hand_over(fit, agent, calls, way):
    """Only its calls become rows; the others are dropped as another agent's."""

    async def work(llm) -> None:
        writer, critic = an_agent("writer", llm, tools=[times]), an_agent("critic", llm)
        crew = Crew(agents=[writer, critic], tasks=[a_task(writer), a_task(critic)])
        await (asyncio.to_thread(crew.kickoff) if way == "kickoff" else crew.akickoff())

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "critic": 2}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (2 * calls, 2)
    assert {one.reason for one in batch.dropped} == {"other_agent"}


@pytest.mark.parametrize("agent", ["writer", "critic"])
def test_one_of_two_agents_that_delegate(fit, agent):
    """The one that is asked works inside a tool of the other's."""

    async def work(llm) -> None:
        critic, writer = an_agent("critic", llm, allow_delegation=True), an_agent("writer", llm, tools=[times])
        await Crew(agents=[critic, writer], tasks=[a_task(critic)]).kickoff_async()

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "critic": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (4, 2)


@pytest.mark.parametrize("agent", ["left", "Übersetzerin"])
def test_one_of_two_agents_that_take_turns(fit, agent):
    """Both are in their tools at the same time, in one attempt."""

    async def work(llm) -> None:
        together, loop = asyncio.Barrier(2), asyncio.get_running_loop()

        @tool("meet")
        def meet() -> str:
            """Meet."""
            asyncio.run_coroutine_threadsafe(together.wait(), loop).result(PATIENCE)
            return "met"

        agents = [an_agent(name, llm, tools=[meet]) for name in ("left", "Übersetzerin")]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(one.kickoff_async("Go") for one in agents))

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"left": 4, "Übersetzerin": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (4, 2)


PROGRAM = """
import json, os
from crewai import Agent, Crew, Task
from crewai.tools import tool


@tool("times")
def times(a: int, b: int) -> int:
    '''Multiply.'''
    return a * b


writer = Agent(role="writer", goal="Answer.", backstory="You know.", tools=[times])
critic = Agent(role="critic", goal="Say it better.", backstory="You care.")
question = json.loads(os.environ["AGL_TASK"])["question"]
tasks = [
    Task(description=question, expected_output="A number.", agent=writer),
    Task(description="Say it better.", expected_output="A sentence.", agent=critic),
]
print(Crew(agents=[writer, critic], tasks=tasks).kickoff().raw)
"""


@pytest.mark.slow
def test_a_crew_in_a_program_of_its_own_needs_variables_only(tmp_path):
    """It finds its model in the environment; its calls are its attempt's, and nobody names who made them."""
    (tmp_path / "crew.py").write_text(PROGRAM)

    @agl.rollout
    def asking(task: dict, llm: agl.LLM) -> float:
        environment = {**os.environ, **agl.environment(llm, task), "OPENAI_MODEL_NAME": f"openai/{llm.model}"}
        done = subprocess.run(
            [sys.executable, "crew.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return float("42" in done.stdout)

    path = tmp_path / "log.db"
    with ScriptedModel(script) as model:
        resources = {"llm": agl.LLM(endpoint=model.url, model="policy")}
        trainer = agl.Trainer(algorithm=agl.Baseline(n_epochs=1), initial_resources=resources, store=str(path))
        trainer.fit(asking, train_dataset=[{"question": "6 * 7?"}])
    ran = Ran.read(path)

    assert [call.status for call in ran.calls()] == ["ok"] * 3
    assert ran.made_by() == {None: 3}
    assert ran.ways() == []
