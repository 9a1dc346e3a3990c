"""Models beside the trained one: judges, other people's servers, the sampling of each mode; also after a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import agl_core as agl
from agl_core.errors import BadValue
from agl_core.testing import Asked, ScriptedModel
from agl_core.trainer import Trainer, resume

KEY = "sk-of-the-grader"


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


async def ask(llm: agl.LLM) -> str:
    """One call."""
    async with httpx.AsyncClient() as client:
        reply = await client.post(
            f"{llm.endpoint}/chat/completions",
            headers={"authorization": f"Bearer {llm.api_key}"},
            json={"model": llm.model, "messages": [{"role": "user", "content": "2 + 2?"}], "temperature": 0.7},
        )
    return str(reply.raise_for_status().json()["choices"][0]["message"]["content"])


@agl.rollout
async def graded(task: dict[str, Any], policy: agl.LLM, grader: agl.LLM) -> float:
    """What the policy says, as a judge sees it."""
    await ask(policy)
    return float(await ask(grader))


class Stumbling:
    """Evaluates, and falls over the first time."""

    name = "stumbling"
    has_fallen = False

    async def run(self, run: agl.Run) -> None:
        """Once over the validation tasks; then, in another life, over the training tasks too."""
        await run.rollouts(run.val, mode="val")
        if not Stumbling.has_fallen:
            Stumbling.has_fallen = True
            raise RuntimeError("fell")
        await run.rollouts(run.train, mode="train")


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Where the run of a test is to write."""
    return str(tmp_path / "log.db")


def rows(log: str, sql: str) -> list[Any]:
    """What the log says."""
    with agl.open_log(log, readonly=True) as found:
        return list(found.rows(sql))


def test_a_judge_is_asked_beside_the_policy(log: str, monkeypatch: pytest.MonkeyPatch):
    """Both are recorded, each in its role, each asked by the name it has where it is served, with its own key."""
    monkeypatch.setenv("AGL_GRADER_API_KEY", KEY)
    with ScriptedModel("four", model="org/small") as policy, ScriptedModel("0.5", model="org/large") as grader:
        trainer = Trainer(
            store=log,
            models={"policy": f"{policy.url}#org/small", "grader": f"{grader.url}#org/large"},
            roles={"grader": "judge"},
        )
        summary = trainer.fit(graded, [{"n": 1}])

    assert summary.result["train"]["mean"] == 0.5
    assert rows(log, "select model, role, status from calls order by position") == [
        ("policy", "policy", "ok"),
        ("grader", "judge", "ok"),
    ]
    assert [asked.headers.get("authorization") for asked in grader.requests] == [f"Bearer {KEY}"]
    assert not [path for path in Path(log).parent.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_two_models_of_one_name_stay_two(log: str):
    """The agent's model and its judge's may be called the same at two places."""
    with ScriptedModel("four", model="gpt") as one, ScriptedModel("0.5", model="gpt") as other:
        llms = {name: agl.LLM(endpoint=model.url, model="gpt") for name, model in [("policy", one), ("grader", other)]}
        Trainer(store=log, initial_resources=llms, roles={"grader": "judge"}).fit(graded, [{"n": 1}])

    assert [len(model.requests) for model in (one, other)] == [1, 1]
    assert rows(log, "select model, role from calls order by position") == [
        ("policy/gpt", "policy"),
        ("grader/gpt", "judge"),
    ]


def test_a_mode_samples_as_the_run_was_told_and_a_resume_knows_it(log: str):
    """Models of others, their roles and the sampling of each mode are in the log: `resume` needs nothing else."""
    Stumbling.has_fallen = False
    with ScriptedModel("1") as model:
        trainer = Trainer(
            algorithm=Stumbling(),
            store=log,
            initial_resources={name: agl.LLM(endpoint=model.url, model="policy") for name in ("policy", "grader")},
            roles={"grader": "judge"},
            sampling={"val": {"temperature": 0}, "train": {"temperature": 1.0, "top_p": 1.0}},
        )
        with pytest.raises(RuntimeError, match="fell"):
            trainer.fit(graded, [{"n": 1}], val_dataset=[{"n": 2}])
        ((run_id,),) = rows(log, "select run_id from runs")

        summary = resume(run_id, log=log)

        sampled = [_sampling(asked) for asked in model.requests]

    assert summary.status == "finished"
    assert sampled == [(0, None)] * 2 + [(1.0, 1.0)] * 2
    assert rows(log, "select role, count(*) from calls group by role order by role") == [("judge", 2), ("policy", 2)]


def _sampling(asked: Asked) -> tuple[Any, Any]:
    return asked.body.get("temperature"), asked.body.get("top_p")


@pytest.mark.parametrize(
    "options",
    [
        {"roles": {"grader": "critic"}},
        {"sampling": {"validation": {"temperature": 0}}},
        {"sampling": {"val": {"model": "another"}}},
        {"sampling": {"val": 0}},
    ],
)
def test_what_no_call_can_have_is_refused_at_once(options: dict[str, Any]):
    """Before anything starts, with what there is."""
    with pytest.raises(BadValue, match=r"a role is one of|a mode is one of|it is a mapping"):
        Trainer(**options)


def test_a_role_is_some_models(log: str):
    """A misspelt name would leave a judge a policy, whose words are trained on."""
    with pytest.raises(BadValue, match="they name models"):
        Trainer(store=log, models={"policy": "http://127.0.0.1:1/v1#m"}, roles={"garder": "judge"}).fit(graded, [1])
