"""Agents that have never heard of us, in a shell and in Node: their calls, spans and rewards are their attempt's."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.events import CallRecorded, RewardGiven, SpanRecorded
from agl_core.testing import ScriptedModel

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "agents-in-other-languages.md"
SCRIPTS = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE.read_text(), re.DOTALL))
SHELL, NODE = ["sh", "solve.sh"], ["node", "solve.mjs"]
VERSION_1 = """set -eu
body='{"model": "policy", "messages": [{"role": "user", "content": "6 * 7?"}]}'
post() { curl -sSf "$1" -H "authorization: Bearer $AGL_KEY" -H "content-type: application/json" -d "$2"; }
post "$AGL_OPENAI_BASE_URL/chat/completions" "$body"
post "$AGL_EVENT_URL" '{"event_type": "reward", "data": {"value": 0.5, "message": "close"}}'
"""
PATIENCE = 60


def needs(*programs: str) -> Any:
    """A mark: without these there is nothing to run."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed here")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the scripts of the page are, and a host that exports nothing."""
    for name in ("solve.sh", "solve.mjs"):
        (tmp_path / name).write_text(SCRIPTS[name])
    for name in [name for name in os.environ if name.startswith("OTEL_") or name == "TRACEPARENT"]:
        monkeypatch.delenv(name)
    return tmp_path


def run(folder: Path, command: list[str], *, tasks: int = 1, script: Any = "It is 42.", runners: int = 1) -> list[Any]:
    """The facts of a run whose agent is that program."""

    @agl.rollout
    async def solve(task: Any, llm: agl.LLM) -> None:
        environment = {**os.environ, **agl.environment(llm, task)}
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr[-2000:]

    with ScriptedModel(script, owner="vllm") as model:
        trainer = agl.Trainer(
            algorithm=agl.Baseline(),
            models={"policy": f"{model.url}#policy"},
            n_runners=runners,
            store=str(folder / "log.db"),
        )
        trainer.fit(solve, train_dataset=[{"n": number} for number in range(tasks)])
    with agl.open_log(str(folder / "log.db"), readonly=True) as log:
        return [record.event for record in log.read()]


def of(facts: list[Any], kind: type) -> list[Any]:
    """Those of a kind."""
    return [fact for fact in facts if isinstance(fact, kind)]


@needs("sh", "curl")
def test_a_shell_script_is_an_agent(folder: Path):
    """With curl alone: one call, and the reward that it told."""
    facts = run(folder, SHELL)

    (call,), (reward,) = of(facts, CallRecorded), of(facts, RewardGiven)
    assert (call.status, call.call.choices[0].message.content) == ("ok", "It is 42.")
    assert (reward.value, reward.name, reward.attempt_id) == (1.0, "primary", call.attempt_id)


@needs("sh", "curl")
def test_a_reward_of_nothing_is_a_reward(folder: Path):
    """A model that answers otherwise is worth nothing, and that is told too."""
    (reward,) = of(run(folder, SHELL, script="It is 41."), RewardGiven)

    assert reward.value == 0.0


@needs("sh", "curl")
def test_a_program_for_agent_lightning_1_is_an_agent(folder: Path):
    """By the variables that it reads, and the events that it posts."""
    (folder / "one.sh").write_text(VERSION_1)

    facts = run(folder, ["sh", "one.sh"])

    (call,), (reward,) = of(facts, CallRecorded), of(facts, RewardGiven)
    assert call.status == "ok"
    assert (reward.value, reward.evidence) == (0.5, {"message": "close"})


@needs("node")
def test_a_node_program_is_an_agent(folder: Path):
    """With `fetch` alone: one call, the span of a tool in the attempt's trace, and two rewards."""
    facts = run(folder, NODE)

    (call,), (span,), rewards = of(facts, CallRecorded), of(facts, SpanRecorded), of(facts, RewardGiven)
    assert {call.attempt_id, span.attempt_id, *(reward.attempt_id for reward in rewards)} == {call.attempt_id}
    assert (span.name, span.parent_id, span.scope) == ("execute_tool check", None, {"name": "solve"})
    assert span.attributes["gen_ai.tool.call.result"] == "It is 42."
    assert {reward.name: reward.value for reward in rewards} == {"primary": 1.0, "length": 9.0}


@needs("node")
def test_what_many_of_them_do_at_once_stays_apart(folder: Path):
    """Each attempt has its own call, span and rewards, and no other's."""
    facts = run(folder, NODE, tasks=6, runners=3)

    for kind, count in ((CallRecorded, 1), (SpanRecorded, 1), (RewardGiven, 2)):
        attempts = [fact.attempt_id for fact in of(facts, kind)]
        assert len(attempts) == 6 * count
        assert {attempts.count(attempt) for attempt in attempts} == {count}
    assert len({span.trace_id for span in of(facts, SpanRecorded)}) == 6


@needs("node")
def test_what_it_did_becomes_rows(folder: Path):
    """With the tokens the model told of, and the reward that the program told."""
    triplets = pytest.importorskip("agl_triplets")
    run(folder, NODE, tasks=2)

    with agl.open_log(str(folder / "log.db"), readonly=True) as log:
        store = agl.Store(log)
        traces = store.ask.traces([rollout.rollout_id for rollout in store.ask.rollouts()])
        store.close()
    adapted = triplets.Triplets(min_group=1)(traces)

    assert [row.reward for row in adapted.rows] == [1.0, 1.0]
    assert all(row.token_ids and any(row.mask) for row in adapted.rows)
    assert adapted.dropped == ()
