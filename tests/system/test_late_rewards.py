"""Rewards that come late, are revised or taken back: what a run was told stays so, through `kill -9` and a resume."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.events import BatchFormed, OutcomesRead
from agl_core.testing import ScriptedModel

pytestmark = pytest.mark.slow

PROGRAM = '''
"""Two rounds; the second is about what was best in the first."""

import os
import signal
import sys
from dataclasses import dataclass

import httpx

import agl_core as agl
from agl_core.adapter import Adapted


@agl.rollout
def agent(task, llm) -> float:
    """Asks once, and earns its task's number."""
    headers = {"authorization": f"Bearer {llm.api_key}"}
    body = {"model": llm.model, "messages": [{"role": "user", "content": str(task)}]}
    httpx.post(f"{llm.endpoint}/chat/completions", headers=headers, json=body).raise_for_status()
    return float(task)


class Earned:
    """Rows are tasks with what they earned."""

    name = "earned"

    def __call__(self, traces):
        """One a call."""
        rows = tuple((trace.input, trace.reward) for trace in traces for _ in trace.calls)
        return Adapted(rows=rows, kept=len(rows))


class Follows:
    """Goes on with the best two tasks."""

    name = "follows"

    async def run(self, run):
        """What is told of a round is what the next one is about."""
        tasks = list(run.train)
        for number in (1, 2):
            outcomes = await run.rollouts(tasks, label="round")
            rewards = [outcome.reward for outcome in outcomes]
            if os.environ.get("DIE") == f"read-{number}":
                os.kill(os.getpid(), signal.SIGKILL)
            batch = run.adapt(outcomes, Earned())
            if os.environ.get("DIE") == f"adapted-{number}":
                os.kill(os.getpid(), signal.SIGKILL)
            best = await run.step("best", sorted, rewards)
            tasks = [task for task, _ in sorted(zip(tasks, rewards), key=lambda pair: pair[1])][-2:]
            run.log(step=number, reward=sum(rewards))
            run.result[f"round-{number}"] = {"rewards": rewards, "best": best, "rows": len(batch.rows)}


if __name__ == "__main__":
    import late

    trainer = agl.Trainer(algorithm=late.Follows(), models={"policy": sys.argv[2]}, store=sys.argv[1], n_runners=2)
    trainer.fit(late.agent, [1, 2, 3, 4])
'''


class World:
    """A folder with the program, and logs of its runs."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.model = folder, model
        (folder / "late.py").write_text(PROGRAM)
        self._environment = {
            **os.environ,
            "AGL_LOAD_PLUGINS": "",
            "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
        }

    def run(self, log: str, *, dies: str = "") -> None:
        """A process of its own, that kills itself there; to the end where it is not told to."""
        done = self._process(["late.py", log, f"{self.model}#policy"], DIE=dies)
        assert done.returncode == (-signal.SIGKILL if dies else 0), done.stderr

    def resume(self, log: str) -> dict[str, Any]:
        """Another process, to the end."""
        done = self._process(["-m", "agl_core.cli", "resume", self.run_id(log), "--log", log, "--json"])
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout)["result"])

    def result(self, log: str) -> dict[str, Any]:
        """What its run came to."""
        return dict(json.loads(self.rows(log, "select result from runs")[0][0]))

    def run_id(self, log: str) -> str:
        """Of its one run."""
        return str(self.rows(log, "select run_id from runs")[0][0])

    def rows(self, log: str, sql: str) -> list[Any]:
        """What it knows."""
        with agl.open_log(str(self.folder / log), readonly=True) as found:
            return list(found.rows(sql))

    def facts(self, log: str, kind: type[Any]) -> list[Any]:
        """What it has of that kind."""
        with agl.open_log(str(self.folder / log), readonly=True) as found:
            return [record.event for record in found.read(types=[kind.type])]

    def judge(self, log: str, story: Callable[[agl.Store, list[str]], Any]) -> Any:
        """Somebody who comes later: `story` gets the store, and the first round's rollouts by task."""

        async def told() -> Any:
            return await story(store, ids)

        store = agl.open_store(str(self.folder / log))
        try:
            ids = [row[0] for row in store.log.rows("select rollout_id from rollouts order by position limit 4")]
            return asyncio.run(told())
        finally:
            store.close()
            store.log.close()

    def _process(self, arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env={**self._environment, **environment},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """With a model that all its processes ask."""
    with ScriptedModel("4") as model:
        yield World(tmp_path, model.url)


async def turn_over(store: agl.Store, ids: list[str]) -> None:
    """The worst is praised, the best loses its reward, and the one before it gets another."""
    await store.add_reward(ids[0], 100.0, judge="user")
    ((given,),) = store.log.rows("select id from rewards where rollout_id = ?", (ids[3],))
    await store.withdraw_reward(ids[3], given, "it had looked the answer up")
    await store.add_reward(ids[2], -1.0, judge="auditor")


@pytest.mark.parametrize("dies", ["adapted-1", "adapted-2"])
def test_what_a_run_was_told_does_not_change_after_a_kill(world, dies):
    """It ends as one that was never killed: same rows, same next round, same result; and the log knows better."""
    world.run("whole.db")
    world.run("killed.db", dies=dies)
    world.judge("killed.db", turn_over)

    result = world.resume("killed.db")

    assert result == world.result("whole.db")
    digests = [[batch.digest for batch in world.facts(log, BatchFormed)] for log in ("whole.db", "killed.db")]
    assert digests[0] == digests[1]
    assert len(world.facts("killed.db", OutcomesRead)) == 2
    metrics = [
        world.rows(log, "select step, name, value from metrics order by 1, 2") for log in ("whole.db", "killed.db")
    ]
    assert metrics[0] == metrics[1]


def test_a_reward_that_comes_between_two_movements_counts_from_the_next_on(world):
    """What the rollouts came to was read before; the batch is of the log as it stands when it is formed."""
    world.run("log.db", dies="read-1")

    async def praise(store: agl.Store, ids: list[str]) -> None:
        await store.add_reward(ids[0], 100.0, judge="user")

    world.judge("log.db", praise)
    result = world.resume("log.db")

    assert result["round-1"]["rewards"] == [1.0, 2.0, 3.0, 4.0]
    assert result["round-2"]["rewards"] == [3.0, 4.0]
