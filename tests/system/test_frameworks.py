"""Real agents of five frameworks: as they are, with variables only; and trained for one step, one agent of each."""

from __future__ import annotations

import importlib
import importlib.util
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.events import BatchFormed, CallRecorded, MetricsLogged, PolicyUpdated, RewardGiven, SpanRecorded, ToolCall
from agl_core.testing import Answer, Asked, ScriptedModel

from ._programs import PATIENCE, PROGRAMS, prepare, printed_by

# What frameworks warn of is theirs to mend: it is shown, and fails nothing.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@dataclass(frozen=True, kw_only=True)
class Framework:
    """A program, what it needs, and what its trace must show."""

    program: str
    needs: tuple[str, ...]
    agents: tuple[str, ...] = ("writer", "critic")

    @property
    def trained(self) -> str | None:
        """The agent whose calls become rows; all of them where none has a name."""
        return self.agents[-1] if self.agents else None


FRAMEWORKS = [
    Framework(program="openai_sdk", needs=("openai",), agents=()),
    Framework(program="openai_agents_sdk", needs=("agents", "agl_openai_agents")),
    Framework(program="langgraph_team", needs=("langgraph", "langchain_openai", "agl_langchain")),
    Framework(program="autogen_team", needs=("autogen_agentchat", "autogen_ext", "agl_autogen")),
    Framework(program="crewai_crew", needs=("crewai", "agl_crewai")),
]


@pytest.fixture(params=FRAMEWORKS, ids=lambda framework: framework.program)
def framework(request, monkeypatch) -> Framework:
    """Each in turn, where it is installed."""
    prepare(request.param.needs, monkeypatch)
    return request.param


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A model of random weights that can read a long prompt."""
    pytest.importorskip("torch")
    tiny = pytest.importorskip("agl_demo._tiny")
    return tiny.build(tmp_path_factory.mktemp("small"), seed=0, layers=1, hidden=32, heads=2, context=8192)


def script(asked: Asked) -> Answer:
    """Who may multiply does it once; then everybody has an answer."""
    tools = [tool["function"]["name"] for tool in asked.body.get("tools", ())]
    if "times" in tools and asked.messages[-1]["role"] != "tool":
        return Answer(tool_calls=(ToolCall(id="call-1", name="times", arguments='{"a": 6, "b": 7}'),))
    return Answer(text="It is 42.")


def facts_of(path: Path) -> list[object]:
    """What the log has."""
    with agl.open_log(str(path), readonly=True) as log:
        return [record.event for record in log.read()]


def test_an_unmodified_program_is_captured_by_its_variables(framework, tmp_path):
    """It prints what it prints, and each of its calls is the attempt's, with what its tool gave."""

    @agl.rollout
    def start(task: dict, llm: agl.LLM) -> float:
        return float("42" in printed_by(framework.program, told=agl.environment(llm, task), folder=tmp_path))

    with ScriptedModel(script) as model:
        resources = {"llm": agl.LLM(endpoint=model.url, model="policy")}
        trainer = agl.Trainer(algorithm=agl.Baseline(), initial_resources=resources, store=str(tmp_path / "log.db"))
        trainer.fit(start, train_dataset=[{"question": "6 * 7?"}])
        asked = [request.body for request in model.requests]

    facts = facts_of(tmp_path / "log.db")
    calls = [fact for fact in facts if isinstance(fact, CallRecorded)]
    assert len(calls) == len(asked) >= 2
    assert {(call.status, len({call.attempt_id})) for call in calls} == {("ok", 1)}
    assert any(tool.name == "times" for call in calls for said in call.call.choices for tool in said.message.tool_calls)
    assert [fact.value for fact in facts if isinstance(fact, RewardGiven)] == [1.0]


def test_a_followed_program_has_its_agents_in_the_trace(framework, tmp_path):
    """Past the gateway, in a process of its own: each call bears the name of its agent, and so do spans."""
    with ScriptedModel(script) as model:

        @agl.rollout
        def start(task: dict) -> float:
            told = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "sk-opens-nothing", **agl.environment(None, task)}
            return float("42" in printed_by(framework.program, "-m", "agl_core.tap", told=told, folder=tmp_path))

        agl.Trainer(store=str(tmp_path / "log.db")).fit(start, train_dataset=[{"question": "6 * 7?"}])
        asked = len(model.requests)

    facts = facts_of(tmp_path / "log.db")
    calls = [fact for fact in facts if isinstance(fact, CallRecorded)]
    named = {fact.agent for fact in facts if isinstance(fact, SpanRecorded)}
    assert len(calls) == asked >= 2
    assert {call.agent for call in calls} == set(framework.agents or (None,))
    assert set(framework.agents) <= named


def test_one_agent_of_it_is_trained_for_a_step(framework, small, tmp_path, monkeypatch):
    """Its calls go through the gateway to a real model, bear their agent's name, and move its weights."""
    pytest.importorskip("agl_grpo")
    pytest.importorskip("agl_transformers")
    pytest.importorskip("agl_triplets")
    monkeypatch.syspath_prepend(str(PROGRAMS))
    program = importlib.import_module(framework.program)

    @agl.rollout
    async def work(task: dict, llm: agl.LLM) -> float:
        said = await program.answer(task["question"], model=llm.model, url=llm.endpoint, key=llm.api_key)
        return sum(letter.isalpha() for letter in said) / 100

    trainer = agl.Trainer(
        algorithm={
            "name": "grpo",
            "agent": framework.trained,
            "steps": 1,
            "tasks_per_step": 2,
            "group_size": 4,
            "max_tokens": 12,
            "learning_rate": 1e-3,
            "eval_every": 0,
        },
        models={"policy": f"transformers:{small}"},
        store=str(tmp_path / "log.db"),
        n_runners=4,
        rollout_config=agl.RolloutConfig(timeout_seconds=PATIENCE, max_attempts=2),
    )
    trainer.fit(work, train_dataset=[{"question": "6 * 7?"}, {"question": "1 + 1?"}])

    facts = facts_of(tmp_path / "log.db")
    calls = [fact for fact in facts if isinstance(fact, CallRecorded) and fact.status == "ok"]
    (batch,) = [fact for fact in facts if isinstance(fact, BatchFormed)]
    made = Counter(call.agent for call in calls)
    print(framework.program, dict(made), "kept", batch.kept, "of", batch.captured, dict(batch.dropped))
    assert set(made) == set(framework.agents or (None,))
    assert all(call.call.choices[0].token_ids for call in calls)
    assert 0 < batch.kept <= made[framework.trained]
    assert batch.captured == batch.kept + sum(batch.dropped.values())
    assert [fact.version for fact in facts if isinstance(fact, PolicyUpdated)] == [1]
    logged = [fact.metrics for fact in facts if isinstance(fact, MetricsLogged)]
    (moved,) = [metrics["policy/grad_norm"] for metrics in logged if "policy/grad_norm" in metrics]
    assert moved > 0
    named = {fact.agent for fact in facts if isinstance(fact, SpanRecorded)}
    assert set(framework.agents) <= named
