"""A call that belongs to no attempt is counted, and said; one that is no agent's is none of ours."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import agl_core as agl
from agl_core.events import CaptureLost
from agl_core.testing import ScriptedModel
from agl_core.trainer import Trainer

BODY = {"model": "policy", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


def ask(url: str, route: str = "chat/completions") -> int:
    """Its status."""
    return httpx.post(f"{url}/{route}", json=BODY).status_code


def fit(path: Path, agent: Any, algorithm: Any = None) -> list[CaptureLost]:
    """What was lost in a run of two rollouts."""
    Trainer(store=str(path), algorithm=algorithm).fit(agent, [{"n": 1}, {"n": 2}])
    with agl.open_log(str(path), readonly=True) as log:
        return [record.event for record in log.read(types=["capture.lost"])]


def test_calls_of_a_thread_without_context_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Whose they are nobody knows: the warning has the cure, once, and the log how many there were."""
    caplog.set_level(logging.WARNING, "agl_core.tap")
    with ScriptedModel() as model, ThreadPoolExecutor(1) as pool:

        @agl.rollout
        def agent(task: dict[str, Any]) -> float:
            statuses = [pool.submit(ask, model.url).result(), pool.submit(ask, model.url, "nowhere").result()]
            return float(statuses == [200, 404])

        lost = fit(tmp_path / "log.db", agent)

    assert [(event.count, event.where, event.why) for event in lost] == [(2, "agl_core.tap", "unattributed")]
    assert caplog.text.count("belongs to no attempt") == 1
    assert "copy_context" in caplog.text


def test_a_thread_that_carries_its_context_is_no_stray(tmp_path: Path):
    """As the warning says."""
    with ScriptedModel() as model:

        @agl.rollout
        async def agent(task: dict[str, Any]) -> float:
            return float(await asyncio.to_thread(ask, model.url) == 200)

        assert fit(tmp_path / "log.db", agent) == []


def test_what_an_algorithm_asks_is_no_agents(tmp_path: Path):
    """A critic's call is no missing call of an agent, also from a step's thread."""
    with ScriptedModel() as model:

        class Critic:
            name = "critic"

            async def run(self, run: agl.Run) -> None:
                """Asks a model of its own, before and after the agents."""
                await run.step("before", ask, model.url)
                await run.rollouts(run.train, mode="train")
                await asyncio.to_thread(ask, model.url)

        @agl.rollout
        async def agent(task: dict[str, Any]) -> float:
            return 1.0

        assert fit(tmp_path / "log.db", agent, Critic()) == []
        assert len(model.requests) == 2
