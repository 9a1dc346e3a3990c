"""A budget is met exactly: what it covers is asked, nothing beyond it, and a larger one goes on from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import agl_core as agl
from agl_core.errors import BudgetSpent
from agl_core.testing import Asked, ScriptedModel
from agl_core.trainer import RunSummary, Trainer

TASKS = [{"n": n} for n in range(12)]


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Where the run of a test is to write."""
    return str(tmp_path / "log.db")


async def asked(llm: agl.LLM, word: str) -> float:
    """What the model says to a word."""
    async with httpx.AsyncClient(base_url=llm.endpoint, headers={"authorization": f"Bearer {llm.api_key}"}) as client:
        body = {"model": llm.model, "messages": [{"role": "user", "content": word}]}
        reply = await client.post("chat/completions", json=body, timeout=60)
    reply.raise_for_status()
    return float(reply.json()["choices"][0]["message"]["content"])


@agl.rollout
async def once(task: dict[str, Any], llm: agl.LLM) -> float:
    """Asks one question, and earns the answer."""
    return await asked(llm, f"{task['n']}")


@agl.rollout
async def thrice(task: dict[str, Any], llm: agl.LLM) -> float:
    """Asks three."""
    return sum([await asked(llm, f"{task['n']}") for _ in range(3)])


def tenths(request: Asked) -> str:
    """An answer that is a number, and the same each time."""
    return f"{int(request.last) / 10}"


def fit(log: str, model: ScriptedModel, agent: Any = once, *, resume: str | None = None, **options: Any) -> RunSummary:
    """A run over the twelve tasks, eight at a time."""
    options = {"n_runners": 8, "preflight": False, **options}
    trainer = Trainer(models={"policy": f"{model.url}#policy"}, store=log, **options)
    return trainer.fit(agent, TASKS, resume=resume, run_id=None if resume else "run-budget")


def facts(log: str, kind: type[Any]) -> list[Any]:
    """Events of that kind."""
    with agl.open_log(log, readonly=True) as opened:
        return [record.event for record in opened.read(types=[kind.type])]


@pytest.mark.parametrize("calls", [1, 5, 11, 12, 13])
def test_a_provider_hears_what_the_budget_covers(log, calls):
    """Or what is needed, if that is less; resumed with enough, the run ends as one without a budget."""
    with ScriptedModel(tenths) as model:
        if calls < 12:
            with pytest.raises(BudgetSpent) as raised:
                fit(log, model, budget={"calls": calls})
            assert raised.value.spent["calls"] == calls
            assert len(model.requests) == calls
            ended = fit(log, model, resume="run-budget", budget={"calls": 100})
        else:
            ended = fit(log, model, budget={"calls": calls})

        assert len(model.requests) == 12, "what was paid for is not paid for again"
    assert ended.result["train"]["mean"] == pytest.approx(0.55)
    assert ended.result["train"]["n"] == 12
