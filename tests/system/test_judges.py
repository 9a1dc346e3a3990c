"""Judges beside everything else: killed in the middle, beside a run that goes on, and never learnt from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.events import BatchFormed, CallRecorded, RewardGiven, RunStarted
from agl_core.testing import Asked, ScriptedModel
from agl_core.trainer import resume

AGENT = '''
import httpx

import agl_core as agl


@agl.rollout
async def answering(task, policy: agl.LLM) -> None:
    """One call, and no number."""
    async with httpx.AsyncClient() as client:
        reply = await client.post(
            f"{policy.endpoint}/chat/completions",
            headers={"authorization": f"Bearer {policy.api_key}"},
            json={"model": policy.model, "messages": [{"role": "user", "content": task["question"]}]},
        )
    reply.raise_for_status()


class Learning:
    """One round, and its batch."""

    name = "learning"

    async def run(self, run: agl.Run) -> None:
        """Ask, and adapt."""
        adapts = "adapts" in run.train[0]
        outcomes = await run.rollouts(run.train, repeat=2 if adapts else 1)
        if adapts:
            run.adapt(outcomes, "triplets")
        run.result["rewards"] = [one.reward for one in outcomes]
'''
TASKS = [{"question": f"{n} + 2?", "answer": str(n + 2)} for n in range(4)]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the agent in a module of its own, where processes find it too."""
    name = f"judged_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(AGENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "triplets")


@pytest.fixture
def module(tmp_path: Path) -> str:
    """Where the agent is."""
    return f"judged_{tmp_path.name.replace('-', '_')}"


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Where the run of a test is to write."""
    return str(tmp_path / "log.db")


def facts(log: str, *kinds: type) -> list[Any]:
    """Events of these types, in order."""
    with agl.open_log(log, readonly=True) as found:
        return [record.event for record in found.read(types=[kind.type for kind in kinds])]


def command(*words: str) -> list[str]:
    """`agl`, in a process of its own."""
    return [sys.executable, "-m", "agl_core.cli", *words]


def both(asked: Asked) -> str:
    """A policy that judges itself."""
    return '{"score": 7}' if "You judge" in asked.last else "It is 4."


def test_calls_of_judges_are_never_learnt_from(log, module):
    """Captured is what the policy said, though the policy is the judge, and its calls have token ids too."""
    pytest.importorskip("agl_triplets")
    with ScriptedModel(both, owner="vllm") as model:
        trainer = agl.Trainer(
            algorithm=f"{module}:Learning", store=log, models={"policy": f"{model.url}#policy"},
            judges=[{"name": "llm", "model": "policy"}], sampling={"train": {"temperature": 1.0}},
        )  # fmt: skip
        trainer.fit(f"{module}:answering", [{**task, "adapts": True} for task in TASKS])

    (batch,) = facts(log, BatchFormed)
    calls = facts(log, CallRecorded)
    assert [sum(call.role == role for call in calls) for role in ("policy", "judge")] == [8, 8]
    assert (batch.captured, batch.kept, batch.rows) == (8, 8, 8), batch.dropped
    assert {call.call.sampling.temperature for call in calls if call.role == "judge"} == {0.0}


def test_a_run_that_is_killed_while_it_is_judged_goes_on_and_judges_once(log, module, tmp_path):
    """One reward for each rollout, no policy call more; the judge's call that was out is known to be one."""
    may_answer = threading.Event()
    (tmp_path / "tasks.jsonl").write_text("\n".join(map(json.dumps, TASKS)))

    def grade(request: Asked) -> str:
        if "0 + 2?" not in request.last:
            may_answer.wait(60)
        return '{"score": 7}'

    with ScriptedModel("It is 4.") as policy, ScriptedModel(grade, model="grader") as grader:
        words = command(
            "train", f"{module}:answering", "--algorithm", f"{module}:Learning", "--train", "tasks.jsonl",
            "--model", f"policy={policy.url}#policy", "--judge", f"llm:model={grader.url}#grader", "--log", log, "-q",
        )  # fmt: skip
        with subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE) as process:
            grader.wait_for_requests(4, timeout=60)  # each is asked when its rollout has ended
            os.killpg(process.pid, signal.SIGKILL)
        may_answer.set()
        paid = sum(call.role == "judge" for call in facts(log, CallRecorded))
        before = len(grader.requests)
        summary = resume(facts(log, RunStarted)[0].run_id, log=log)
        asked_again = len(grader.requests) - before

    calls, rewards = facts(log, CallRecorded), facts(log, RewardGiven)
    assert summary.result["rewards"] == [0.7] * 4
    assert len(rewards) == len({one.rollout_id for one in rewards}) == 4
    assert sum(call.role == "policy" for call in calls) == 4
    assert {call.role for call in calls if call.status == "unknown"} == {"judge"}
    assert asked_again == 4 - paid


def test_a_log_that_another_process_writes_is_judged(log, module, tmp_path):
    """What has ended is; what is open keeps its lease, and is said to be open."""
    with ScriptedModel("It is 4.") as model:
        trainer = agl.Trainer(algorithm=f"{module}:Learning", store=log, models={"policy": f"{model.url}#policy"})
        trainer.fit(f"{module}:answering", TASKS)
    held = subprocess.Popen(
        [sys.executable, "-c", _HOLDING, log], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with held as process:
        assert process.stdin is not None
        assert process.stdout is not None
        open_one = process.stdout.readline().strip()
        done = subprocess.run(
            command("judge", "numeric", "--log", log, "--json"), capture_output=True, text=True, check=False
        )
        process.stdin.close()
        ended = process.stdout.readline().strip()

    told = json.loads(done.stdout)
    assert (done.returncode, told["judged"], told["left_out"]) == (3, 4, {"open": 1})
    assert ended == f"{open_one} succeeded"


_HOLDING = """
import asyncio, sys
import agl_core as agl

async def main():
    with agl.open_log(sys.argv[1]) as log:
        store = agl.Store(log)
        rollout = await store.start_rollout({"answer": "4"})
        print(rollout.rollout_id, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await store.finish_attempt(rollout.attempt, "completed")
        print(rollout.rollout_id, store.ask.rollout(rollout.rollout_id).status, flush=True)
        store.close()

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_model_of_ones_own_machine_may_judge(log, module, monkeypatch):
    """SmolLM2, by the engine that trains it; its calls are recorded as a judge's."""
    for library in ("agl_transformers", "torch", "gguf"):
        pytest.importorskip(library)
    smollm2 = pytest.importorskip("agl_demo._smollm2")
    try:
        folder = smollm2.folder()
    except agl.AglError as error:
        pytest.skip(str(error))
    with ScriptedModel("It is 4.") as model:
        trainer = agl.Trainer(algorithm=f"{module}:Learning", store=log, models={"policy": f"{model.url}#policy"})
        trainer.fit(f"{module}:answering", TASKS[:2])
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "transformers")

    done = subprocess.run(
        command(
            "judge", "llm", "--model", f"transformers:{folder}", "--pattern", "([0-9]+)", "--max-tokens", "24",
            "--log", log, "--json",
        ),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    told = json.loads(done.stdout)
    judged = [call for call in facts(log, CallRecorded) if call.role == "judge"]
    assert told["judged"] + sum(told["withheld"].values()) == 2
    assert len(judged) >= 2
    assert all(call.call.choices[0].token_ids for call in judged if call.status == "ok")
