"""Agents of AutoGen in a run: by its agent's name, each call is kept for training or left out."""

from __future__ import annotations

import asyncio
import os
import runpy
import subprocess
import sys
import threading

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat, Swarm
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient

import agl_core as agl
from agl_core.events import RewardGiven, ToolCall
from agl_core.testing import Answer, Asked, Ran, ScriptedModel, selected

pytest.importorskip("agl_triplets", reason="another distribution makes rows of calls")

PATIENCE = 60
INFO = {"vision": False, "function_calling": True, "json_output": False, "family": "gpt-4o", "structured_output": False}


def script(asked: Asked) -> Answer:
    """Each uses its one tool, then answers."""
    if asked.messages[-1]["role"] == "tool" or "tools" not in asked.body:
        return Answer(text="It is 42.")
    name = asked.body["tools"][0]["function"]["name"]
    return Answer(tool_calls=(ToolCall(id=f"call-{name}", name=name, arguments="{}"),))


def client(url, key="none") -> OpenAIChatCompletionClient:
    """AutoGen's client of the policy."""
    return OpenAIChatCompletionClient(model="policy", base_url=url, api_key=key, max_retries=0, model_info=INFO)


@pytest.fixture
def fit(tmp_path):
    """Runs an agent, given a maker of models, and says what of it is kept for one agent's training."""

    def fitting(work, agent: str):
        @agl.rollout
        async def asking(task: dict, llm: agl.LLM) -> float:
            model = client(llm.endpoint, llm.api_key)
            await work(model)
            await model.close()
            return 1.0

        return selected(asking, script, agent=agent, store=tmp_path / "log.db")

    return fitting


def solving(name: str, model, tool: str, inside=None) -> AssistantAgent:
    """An agent with one tool."""

    async def work() -> str:
        if inside is not None:
            await inside()
        return "42"

    return AssistantAgent(name, model, tools=[FunctionTool(work, "Work.", name=tool)], reflect_on_tool_use=True)


def branch(agent: str, tool: str, above: str = "") -> list[str]:
    """An agent that used its tool once."""
    return [f"{above}invoke_agent {agent}", f"{above}invoke_agent {agent} > execute_tool {tool}"]


@pytest.mark.parametrize(("agent", "kept"), [("forecaster", 4), ("nobody", 0)])
def test_one_agent_with_a_tool(fit, agent, kept):
    """Its calls are one trajectory a rollout; another name keeps none."""

    async def work(model) -> None:
        await solving("forecaster", model, "lookup").run(task="Go")

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"forecaster": 4}
    assert batch.kept == kept
    assert ran.ways() == [branch("forecaster", "lookup")] * 2


@pytest.mark.parametrize(("agent", "calls"), [("triage", 1), ("solver", 2)])
def test_one_of_a_team_of_two_with_a_hand_off(fit, agent, calls):
    """Only its calls become rows; the others are dropped as another agent's."""

    async def work(model) -> None:
        triage = AssistantAgent("triage", model, handoffs=["solver"])
        await Swarm([triage, solving("solver", model, "times")], max_turns=2).run(task="6 * 7?")

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"triage": 2, "solver": 4}
    assert ran.kept_of(batch) == {agent}
    assert (batch.kept, len(batch.dropped)) == (2 * calls, 6 - 2 * calls)
    assert {one.reason for one in batch.dropped} == {"other_agent"}
    above = "invoke_workflow Swarm > "
    handing = [f"{above}invoke_agent triage", f"{above}invoke_agent triage > handoff solver"]
    assert ran.ways() == [sorted(["invoke_workflow Swarm", *handing, *branch("solver", "times", above)])] * 2


@pytest.mark.parametrize("agent", ["writer", "critic"])
def test_one_of_two_agents_that_take_turns_in_one_loop(fit, agent):
    """Both are in their tools at the same time, in one attempt."""

    async def work(model) -> None:
        together = asyncio.Barrier(2)
        agents = [solving(name, model, "meet", together.wait) for name in ("writer", "critic")]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(one.run(task="Go") for one in agents))

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "critic": 4}
    assert ran.kept_of(batch) == {agent}
    assert batch.kept == 4
    assert ran.ways() == [sorted(branch("writer", "meet") + branch("critic", "meet"))] * 2


@pytest.mark.parametrize("agent", ["writer", "critic"])
def test_one_of_two_teams_in_threads(fit, agent):
    """Threads that carry their context, each with a loop, a runtime and a client of its own."""

    async def work(given) -> None:
        together = threading.Barrier(2, timeout=PATIENCE)

        async def meet() -> None:
            together.wait()

        async def asking(name: str) -> None:
            model = client(str(given._client.base_url), given._client.api_key)
            await RoundRobinGroupChat([solving(name, model, "meet", meet)], max_turns=1).run(task="Go")
            await model.close()

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(asyncio.to_thread(asyncio.run, asking(name)) for name in ("writer", "critic")))

    batch, ran = fit(work, agent)

    assert ran.made_by() == {"writer": 4, "critic": 4}
    assert ran.kept_of(batch) == {agent}
    assert batch.kept == 4
    team, above = "invoke_workflow RoundRobinGroupChat", "invoke_workflow RoundRobinGroupChat > "
    assert ran.ways() == [sorted([team, team, *branch("writer", "meet", above), *branch("critic", "meet", above)])] * 2


UNMODIFIED = f"""
import asyncio
import os
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

async def main():
    model = OpenAIChatCompletionClient(model="policy", model_info={INFO!r})
    team = RoundRobinGroupChat([AssistantAgent(name, model) for name in ("writer", "critic")], max_turns=2)
    result = await team.run(task=os.environ["AGL_TASK"])
    print(result.messages[-1].content)
    await model.close()

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_an_unmodified_program_needs_variables_only(tmp_path):
    """In a process of its own, where no tracer is: every call is the attempt's all the same."""
    path = tmp_path / "log.db"

    @agl.rollout
    def asking(task: dict, llm: agl.LLM) -> float:
        environment = {**os.environ, **agl.environment(llm, task)}
        command = [sys.executable, "-c", UNMODIFIED]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
        return float("42" in done.stdout)

    with ScriptedModel(script) as model:
        resources = {"llm": agl.LLM(endpoint=model.url, model="policy")}
        trainer = agl.Trainer(algorithm=agl.Baseline(n_epochs=1), initial_resources=resources, store=str(path))
        trainer.fit(asking, train_dataset=[{"q": 1}])
    ran = Ran.read(path)

    assert [(call.status, call.call.model) for call in ran.calls()] == [("ok", "policy")] * 2
    assert [fact.value for fact in ran.facts if isinstance(fact, RewardGiven)] == [1.0]


def test_the_same_program_followed_says_who_asked(tmp_path):
    """In a process of its own, with the tracer in it: agents and team are in the trace."""
    path, program = tmp_path / "log.db", tmp_path / "team.py"
    program.write_text(UNMODIFIED)

    @agl.rollout
    def asking(task: dict) -> float:
        environment = {**os.environ, **agl.environment(None, task)}
        command = [sys.executable, "-m", "agl_core.tap", str(program)]
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
        return 1.0

    with ScriptedModel(script) as model, pytest.MonkeyPatch.context() as variables:
        variables.setenv("OPENAI_BASE_URL", model.url)
        variables.setenv("OPENAI_API_KEY", "sk-of-the-provider")
        agl.Trainer(algorithm=agl.Baseline(n_epochs=1), store=str(path)).fit(asking, train_dataset=[{"q": 1}])
    ran = Ran.read(path)

    assert ran.made_by() == {"writer": 1, "critic": 1}
    above = "invoke_workflow RoundRobinGroupChat"
    assert ran.ways() == [[above, f"{above} > invoke_agent critic", f"{above} > invoke_agent writer"]]


def test_the_same_agents_in_this_process_need_variables_only(tmp_path, monkeypatch):
    """Their provider is asked directly, and each call bears its agent's name."""
    path, program = tmp_path / "log.db", tmp_path / "team.py"
    program.write_text(UNMODIFIED)
    main = runpy.run_path(str(program))["main"]

    @agl.rollout
    async def asking(task: dict) -> float:
        await main()
        return 1.0

    with ScriptedModel(script) as model:
        variables = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "sk-of-the-provider", "AGL_TASK": "6 * 7?"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        agl.Trainer(algorithm=agl.Baseline(n_epochs=1), store=str(path)).fit(asking, train_dataset=[{"q": 1}])
    ran = Ran.read(path)

    assert ran.made_by() == {"writer": 1, "critic": 1}
    above = "invoke_workflow RoundRobinGroupChat"
    assert ran.ways() == [[above, f"{above} > invoke_agent critic", f"{above} > invoke_agent writer"]]
