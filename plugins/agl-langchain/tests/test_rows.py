"""Agents of LangChain in a run: by its agent's name, each call is kept for training or left out."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

import agl_core as agl
from agl_core.events import RewardGiven, SpanRecorded, ToolCall
from agl_core.testing import Answer, Asked, Ran, ScriptedModel, selected

pytest.importorskip("agl_triplets", reason="another distribution makes rows of calls")

PATIENCE = 60
ASKED = {"messages": [("user", "Go")]}


def script(asked: Asked) -> Answer:
    """Each uses its one tool, then answers."""
    if asked.messages[-1]["role"] == "tool":
        return Answer(text="It is 42.")
    tools = asked.body.get("tools")
    if not tools:
        return Answer(text="42")
    name = tools[0]["function"]["name"]
    return Answer(tool_calls=(ToolCall(id=f"call-{name}", name=name, arguments="{}"),))


@pytest.fixture
def fit(tmp_path):
    """Runs an agent, given a model, and says what of it is kept for one agent's training."""

    def fitting(work, agent: str):
        @agl.rollout
        async def asking(task: dict, llm: agl.LLM) -> float:
            with httpx.Client() as client:
                async with httpx.AsyncClient() as async_client:
                    await work(
                        ChatOpenAI(
                            model=llm.model,
                            base_url=llm.endpoint,
                            api_key=llm.api_key,
                            max_retries=0,
                            http_client=client,
                            http_async_client=async_client,
                        )
                    )
            return 1.0

        return selected(asking, script, agent=agent, store=tmp_path / "log.db")

    return fitting


def is_no_chain(span: SpanRecorded) -> bool:
    """The oldest versions have chains beside."""
    return span.attributes["langchain.type"] != "chain"


def tool(name: str, inside=None):
    """A tool of that name."""

    async def work() -> str:
        if inside is not None:
            await inside()
        return "42"

    return StructuredTool.from_function(coroutine=work, name=name, description="Work.")


def branch(agent: str, *tools: str) -> list[str]:
    """An agent that used its tools once."""
    above = f"invoke_agent {agent}"
    used = [f"{above} > node tools > execute_tool {tool}" for tool in tools]
    return sorted([above, *[f"{above} > node model"] * 2, f"{above} > node tools", *used])


@pytest.mark.parametrize(("agent", "kept"), [("forecaster", 4), ("nobody", 0)])
def test_one_agent_with_a_tool(fit, agent, kept):
    """Its calls are one trajectory a rollout; another name keeps none."""

    async def work(model) -> None:
        await create_agent(model, [tool("lookup")], name="forecaster").ainvoke(ASKED)

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"forecaster": 4}
    assert (batch.kept, len(batch.rows)) == (kept, kept // 2)
    assert ran.ways(is_no_chain) == [branch("forecaster", "lookup")] * 2


@pytest.mark.parametrize(("agent", "calls"), [("triage", 1), ("solver", 2)])
def test_one_of_two_agents_with_a_hand_off(fit, agent, calls):
    """Only its calls become rows; the others are dropped as another agent's."""

    async def work(model) -> None:
        def hand() -> Command:
            return Command(goto="solver", graph=Command.PARENT)

        transfer = StructuredTool.from_function(hand, name="transfer", description="Hand over.")
        graph = StateGraph(MessagesState)
        graph.add_node("triage", create_agent(model, [transfer], name="triage"), destinations=("solver",))
        graph.add_node("solver", create_agent(model, [tool("times")], name="solver"))
        graph.add_edge(START, "triage")
        await graph.compile().ainvoke(ASKED)

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"triage": 2, "solver": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (2 * calls, 2)
    assert {one.reason for one in batch.dropped} == {"other_agent"}
    assert ["handoff solver" in way for way in ran.ways(is_no_chain)[0]].count(True) == 1


@pytest.mark.parametrize("agent", ["writer", "Übersetzerin"])
def test_one_of_two_agents_that_take_turns_in_one_loop(fit, agent):
    """Both are in their tools at the same time, in one attempt."""

    async def work(model) -> None:
        together = asyncio.Barrier(2)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(
                *(
                    create_agent(model, [tool("meet", together.wait)], name=name).ainvoke(ASKED)
                    for name in ("writer", "Übersetzerin")
                )
            )

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "Übersetzerin": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (4, 2)
    assert ran.ways(is_no_chain) == [sorted(branch("writer", "meet") + branch("Übersetzerin", "meet"))] * 2


@pytest.mark.parametrize("agent", ["writer", "critic"])
def test_one_of_two_agents_in_threads(fit, agent):
    """Threads that carry their context, without a loop."""

    async def work(model) -> None:
        together = threading.Barrier(2, timeout=PATIENCE)

        def meet() -> str:
            together.wait()
            return "met"

        def asking(name: str) -> None:
            waits = StructuredTool.from_function(meet, name="meet", description="Wait for the other.")
            create_agent(model, [waits], name=name).invoke(ASKED)

        await asyncio.gather(*(asyncio.to_thread(asking, name) for name in ("writer", "critic")))

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "critic": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (4, 2)
    assert ran.ways(is_no_chain) == [sorted(branch("writer", "meet") + branch("critic", "meet"))] * 2


@pytest.mark.parametrize("agent", ["left", "right"])
def test_one_of_two_branches_of_a_graph(fit, agent):
    """Plain functions that ask the same at the same time: the node is the agent."""

    async def work(model) -> None:
        async def ask(state) -> dict:
            return {"messages": [await model.ainvoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        for name in ("left", "right"):
            graph.add_node(name, ask)
            graph.add_edge(START, name)
        await graph.compile().ainvoke(ASKED)

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"left": 2, "right": 2}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.rows)) == (2, 2)


PROGRAM = """
import os
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

@tool
def lookup() -> str:
    "Look it up."
    return "42"

agent = create_agent(ChatOpenAI(model="policy"), [lookup], name="forecaster")
print(agent.invoke({"messages": [("user", os.environ["AGL_TASK"])]})["messages"][-1].text)
"""


def test_a_program_that_knows_nothing_is_pointed_at_the_gateway_by_its_environment(tmp_path):
    """Unmodified, and without the tracer: each of its calls is the attempt's."""
    (tmp_path / "agent.py").write_text(PROGRAM)

    @agl.rollout
    def start(task: dict, llm: agl.LLM) -> float:
        done = subprocess.run(
            [sys.executable, "agent.py"],
            env={**os.environ, **agl.environment(llm, task)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return float("42" in done.stdout)

    with ScriptedModel(script) as model:
        resources = {"llm": agl.LLM(endpoint=model.url, model="policy")}
        trainer = agl.Trainer(algorithm=agl.Baseline(), initial_resources=resources, store=str(tmp_path / "log.db"))
        trainer.fit(start, train_dataset=[{"q": 1}])

    ran = Ran.read(tmp_path / "log.db")
    calls = ran.calls()
    assert [call.status for call in calls] == ["ok", "ok"]
    assert len({call.attempt_id for call in calls}) == 1
    assert [fact.value for fact in ran.facts if isinstance(fact, RewardGiven)] == [1.0]
