"""Agents of five frameworks, recorded once with a model, run again from the log alone."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.events import CallRecorded, RunStarted, ToolCall
from agl_core.plugins import Plugins
from agl_core.replay import Options, replaying_run
from agl_core.testing import Answer, Asked, ScriptedModel

from ._programs import PROGRAMS, prepare, printed_by

# What frameworks warn of is theirs to mend: it is shown, and fails nothing.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

NEEDS = {
    "openai_sdk": ("openai",),
    "openai_agents_sdk": ("agents", "agl_openai_agents"),
    "langgraph_team": ("langgraph", "langchain_openai", "agl_langchain"),
    "autogen_team": ("autogen_agentchat", "autogen_ext", "agl_autogen"),
    "crewai_crew": ("crewai", "agl_crewai"),
}
TASKS = [{"question": f"{n} * 7?", "n": n} for n in range(8)]
"""Eight at a time: templates alike, and answers of their own."""


@pytest.fixture
def anyio_backend() -> str:
    """Agents run on asyncio."""
    return "asyncio"


@pytest.fixture(params=NEEDS)
def framework(request, monkeypatch) -> str:
    """Each in turn, where it is installed."""
    prepare(NEEDS[request.param], monkeypatch)
    return request.param


def script(asked: Asked) -> Answer:
    """Who may multiply does it once; then everybody has an answer, which only this task gets."""
    said = str(asked.messages)
    n = next(n for n in range(8) if f"{n} * 7?" in said or f"It is {n * 7}." in said)
    tools = [tool["function"]["name"] for tool in asked.body.get("tools", ())]
    if "times" in tools and asked.messages[-1]["role"] != "tool":
        return Answer(tool_calls=(ToolCall(id=f"call-{n}", name="times", arguments=f'{{"a": {n}, "b": 7}}'),))
    return Answer(text=f"It is {n * 7}.")


async def replayed(log: Path, agent: agl.LitAgent) -> list:
    """What came of each rollout of the log."""
    with agl.open_log(str(log), readonly=True) as source:
        (run,) = [record.event for record in source.read(types=[RunStarted.type])]
        found = await replaying_run(
            source, run.run_id, options=Options(), plugins=Plugins.load(), agent=agent, into=log.with_name("again.db")
        )
    return list(found.values())


def said_in(log: Path) -> list[tuple[object, ...]]:
    """What each call asked and what it was answered, tools among it, with its tokens; in no order."""
    with agl.open_log(str(log), readonly=True) as found:
        calls = [record.event for record in found.read(types=[CallRecorded.type])]
    return sorted(
        (call.rollout_id, repr((call.call.messages, call.call.tools, call.call.choices)), call.agent or "")
        for call in calls
    )


@pytest.mark.anyio
async def test_its_agent_runs_again_without_a_model(framework, tmp_path, monkeypatch):
    """Eight at once, in this process: the same messages, tool calls and rewards, and nobody gets another one's."""
    monkeypatch.syspath_prepend(str(PROGRAMS))
    program = importlib.import_module(framework)

    @agl.rollout
    async def work(task: dict, llm: agl.LLM) -> float:
        said = await program.answer(task["question"], model=llm.model, url=llm.endpoint, key=llm.api_key)
        return float(str(task["n"] * 7) in said)

    log = tmp_path / "log.db"
    with ScriptedModel(script) as model:
        resources = {"llm": agl.LLM(endpoint=model.url, model="policy")}
        trainer = agl.Trainer(algorithm=agl.Baseline(), initial_resources=resources, store=str(log), n_runners=8)
        await asyncio.to_thread(trainer.fit, work, train_dataset=TASKS)
    before = log.read_bytes()

    found = await replayed(log, work)

    assert [(one.is_same, one.now.reward, one.denied) for one in found] == [(True, 1.0, ())] * len(TASKS)
    assert said_in(tmp_path / "again.db") == said_in(log)
    assert log.read_bytes() == before


@pytest.mark.anyio
async def test_an_unmodified_program_of_it_runs_again_without_a_model(framework, tmp_path):
    """In a process of its own, with nothing but its variables."""

    @agl.rollout
    def start(task: dict, llm: agl.LLM) -> float:
        return float(str(task["n"] * 7) in printed_by(framework, told=agl.environment(llm, task), folder=tmp_path))

    log = tmp_path / "log.db"
    with ScriptedModel(script) as model:
        resources = {"llm": agl.LLM(endpoint=model.url, model="policy")}
        trainer = agl.Trainer(algorithm=agl.Baseline(), initial_resources=resources, store=str(log))
        await asyncio.to_thread(trainer.fit, start, train_dataset=TASKS[6:7])

    (found,) = await replayed(log, start)

    assert (found.is_same, found.now.reward, found.answered) == (True, 1.0, found.calls)
    assert said_in(tmp_path / "again.db") == said_in(log)
