"""A budget is met exactly by a run that is killed again and again: what its provider heard is what the log counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.log import verify
from agl_core.run import spent
from agl_core.testing import Asked, Failing, ScriptedModel

pytestmark = pytest.mark.slow

RUNNERS, TASKS, BUDGET = 4, 20, 50
AGENTS = """
import httpx
import agl_core as agl

@agl.rollout
async def thrice(task, llm: agl.LLM):
    headers = {"authorization": f"Bearer {llm.api_key}"}
    async with httpx.AsyncClient(base_url=llm.endpoint, headers=headers, timeout=60) as client:
        earned = 0.0
        for _ in range(3):
            body = {"model": llm.model, "messages": [{"role": "user", "content": str(task["n"])}]}
            reply = await client.post("chat/completions", json=body)
            earned += float(reply.raise_for_status().json()["choices"][0]["message"]["content"])
    return earned
"""


class Provider:
    """Answers with a tenth of what it is asked, says now and then that it is busy, and stops when it is told."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._held, self._hold_from, self._heard = 0, BUDGET * 10, 0

    def __call__(self, asked: Asked) -> str | Failing:
        """A thread of its own for each request."""
        with self._lock:
            self._heard += 1
            number = self._heard
            if number >= self._hold_from:
                self._held += 1
                self._lock.notify_all()
                self._lock.wait_for(lambda: number < self._hold_from, 60)
        # Right before the places where it stops: what dies there is on its second try.
        return Failing(after=0, code="busy", status=503) if number % 16 in {8, 9, 10} else f"{int(asked.last) / 10}"

    def hold(self, number: int) -> None:
        """From that request on, answer nobody."""
        with self._lock:
            self._hold_from, self._held = number, 0

    def wait(self, held: int) -> None:
        """Until so many wait for an answer."""
        with self._lock:
            assert self._lock.wait_for(lambda: self._held >= held, 60), f"{self._held} of {held} are held"

    def let_go(self) -> None:
        """Answer everybody again."""
        with self._lock:
            self._hold_from = BUDGET * 10
            self._lock.notify_all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An agent, its tasks, and room for a log."""
    (tmp_path / "agents.py").write_text(AGENTS)
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps({"n": n}) + "\n" for n in range(TASKS)))
    return tmp_path


def agl_process(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`agl ...`, typed there."""
    return subprocess.Popen(
        [sys.executable, "-m", "agl_core.cli", *words, "--log", "log.db", "--json"],
        cwd=folder, env={**os.environ, "AGL_LOAD_PLUGINS": ""}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def test_kills_and_retries_change_nothing_in_what_a_budget_covers(folder):
    """Two deaths, each with a call of every runner under way; then it is spent, to the request; then it ends."""
    provider = Provider()
    with ScriptedModel(provider) as model:
        words = [
            "run", "agents:thrice", "--tasks", "tasks.jsonl", "--model", f"{model.url}#policy",
            "--n-runners", f"{RUNNERS}", "--budget", f"calls={BUDGET}",
        ]  # fmt: skip
        for life, moment in enumerate((11, 27), start=1):
            provider.hold(moment)
            with agl_process(folder, *words) as process:
                provider.wait(RUNNERS)
                os.killpg(process.pid, signal.SIGKILL)
            provider.let_go()
            with agl.open_log(str(folder / "log.db"), readonly=True) as log:
                (run_id,) = log.rows("select run_id from runs")[0]
            words = ["resume", run_id]
            print(f"killed {life} time(s), after {len(model.requests)} requests")
        with agl_process(folder, *words) as process:
            _, stderr = process.communicate(timeout=120)
            stopped, heard = process.returncode, len(model.requests)
        counted = _counted(folder, run_id)
        with agl_process(folder, *words, "--budget", "calls=1000") as process:
            told, _ = process.communicate(timeout=120)

        assert (stopped, heard) == (1, BUDGET)
        assert counted == (BUDGET, 2 * RUNNERS)
        assert "BUDGET_SPENT" in stderr
        assert json.loads(told)["result"]["train"]["mean"] == pytest.approx(0.3 * (TASKS - 1) / 2)
        assert _counted(folder, run_id) == (len(model.requests), 2 * RUNNERS)


def _counted(folder: Path, run_id: str) -> tuple[int, int]:
    """Requests, as the log counts them; and calls of which nobody knows what came."""
    with agl.open_log(str(folder / "log.db"), readonly=True) as log:
        assert not list(verify(log))
        ((unknown,),) = log.rows("select count(*) from calls where status = 'unknown'")
        return spent(log, run_id).calls, unknown
