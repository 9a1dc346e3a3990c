"""What an algorithm asks is a call like any other, in the run's own story; what was answered is not asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import agl_core as agl
from agl_core.errors import ModelNotFound, ModelUnanswered, ReplayDiverged
from agl_core.events import CallRecorded, ResourcesPromoted, RunStarted, RunStopAsked
from agl_core.record import Draft
from agl_core.run import Estimate, Spending
from agl_core.testing import Failing, ScriptedModel
from agl_core.trainer import Trainer


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Where the run of a test is to write."""
    return str(tmp_path / "log.db")


@agl.rollout
def idle(task: Any) -> float:
    """Asks nobody."""
    return 1.0


@agl.rollout
def prompted(task: dict[str, Any], prompt_template: agl.PromptTemplate) -> float:
    """Earns more, the longer its prompt is."""
    return len(prompt_template.template) / 10 + task["n"] / 100


def fit(log: str, algorithm: Any, *, resume: str | None = None, **options: Any) -> Any:
    """A run of one task."""
    trainer = Trainer(algorithm=agl.algo(algorithm), store=log, preflight=False, **options)
    return trainer.fit(idle, [{"n": 0}], resume=resume)


def facts(log: str, kind: type[Any]) -> list[Any]:
    """Events of that kind, with their streams."""
    with agl.open_log(log, readonly=True) as opened:
        return [(record.stream, record.event) for record in opened.read(types=[kind.type])]


def test_a_question_is_a_call_of_the_run(log):
    """It stands in the run's stream, is nobody's policy, and counts among what the run cost."""
    found = {}

    async def asking(run: agl.Run) -> None:
        found["said"] = await run.ask("critic", [{"role": "user", "content": "why?"}], temperature=1.0)
        found["spent"] = await run.spending()

    with ScriptedModel("Because.") as model:
        fit(log, asking, models={"critic": f"{model.url}#policy"})

    ((stream, call),) = facts(log, CallRecorded)
    assert found["said"].text == "Because."
    assert found["said"].call_id == call.call_id
    assert stream == f"run/{facts(log, RunStarted)[0][1].run_id}"
    assert (call.role, call.rollout_id, call.call.sampling.temperature) == ("tool", "", 1.0)
    assert found["spent"] == Spending(
        calls=1, tokens=sum((call.call.usage.prompt_tokens, call.call.usage.completion_tokens))
    )


def test_a_model_may_be_named_by_its_url(log):
    """Then it is nobody's resource: agents do not see it."""
    seen = []

    async def asking(run: agl.Run) -> None:
        said = [await run.ask(f"{model.url}#policy", [{"role": "user", "content": word}]) for word in ("one", "two")]
        seen.extend((said, run.resources))

    with ScriptedModel(lambda asked: asked.last.upper()) as model:
        fit(log, asking)

    assert [one.text for one in seen[0]] == ["ONE", "TWO"]
    assert seen[1] is None


def test_what_was_answered_is_not_asked_again(log):
    """After a death right behind the answer, even when the run had no time to write down that it had it."""
    fell = []

    async def asking(run: agl.Run) -> None:
        for word in ("one", "two"):
            await run.ask("critic", [{"role": "user", "content": word}])
            if not fell:
                fell.append(1)
                raise RuntimeError("fell")
        run.result["spent"] = (await run.spending()).calls

    with ScriptedModel("Yes.") as model:
        options = {"models": {"critic": f"{model.url}#policy"}}
        with pytest.raises(RuntimeError, match="fell"):
            fit(log, asking, **options)
        ended = fit(log, asking, resume=facts(log, RunStarted)[0][1].run_id, **options)

        assert [asked.last for asked in model.requests] == ["one", "two"]
    assert ended.result == {"spent": 2}


def test_another_question_under_the_same_name_is_told(log):
    """Code that changed between two lives of a run."""
    words = iter(["one", "other"])

    async def asking(run: agl.Run) -> None:
        await run.ask("critic", [{"role": "user", "content": next(words)}])
        raise RuntimeError("fell")

    with ScriptedModel("Yes.") as model:
        options = {"models": {"critic": f"{model.url}#policy"}}
        with pytest.raises(RuntimeError, match="fell"):
            fit(log, asking, **options)

        with pytest.raises(ReplayDiverged):
            fit(log, asking, resume=facts(log, RunStarted)[0][1].run_id, **options)


def test_a_server_that_is_busy_is_waited_for(log):
    """It says for how long; the run then has its answer, and each try is in the log."""
    answers = iter([Failing(after=0, code="rate_limited", status=429)] * 8 + ["At last."])
    heard = []

    async def asking(run: agl.Run) -> None:
        heard.append(await run.ask("critic", [{"role": "user", "content": "now?"}]))

    with ScriptedModel(lambda _asked: next(answers)) as model:
        fit(log, asking, models={"critic": f"{model.url}#policy"})

        assert len(model.requests) == 9
    assert heard[0].text == "At last."
    calls = [call for _, call in facts(log, CallRecorded)]
    assert sum(1 + len(call.tries) for call in calls) == 9


@pytest.mark.parametrize(("model", "error"), [("nobody", ModelNotFound), ("critic", ModelUnanswered)])
def test_a_model_that_gives_no_answer_is_told(log, model, error):
    """One that is not there, and one that refuses: the run can be resumed when it is."""

    async def asking(run: agl.Run) -> None:
        await run.ask(model, [{"role": "user", "content": "why?"}])

    with ScriptedModel(lambda _asked: Failing(after=0, code="bad", status=400)) as served, pytest.raises(error):
        fit(log, asking, models={"critic": f"{served.url}#policy"})


def test_the_key_of_another_run_opens_nothing(log):
    """Neither does an attempt's; and nothing but models is there."""
    replies = []

    async def asking(run: agl.Run) -> None:
        base = run._asks._gateway  # type: ignore[union-attr]
        key = run.store.ask.run_key(run.id)
        async with httpx.AsyncClient() as client:
            for path, shown in ((run.id, "agl-wrong"), ("run-other", key), (run.id, key)):
                url = f"{base}/run/{path}/v1/{'models' if shown == key and path == run.id else 'chat/completions'}"
                body = {"model": "critic", "messages": []}
                call = client.get if url.endswith("models") else None
                headers = {"authorization": f"Bearer {shown}"}
                reply = await (call(url, headers=headers) if call else client.post(url, json=body, headers=headers))
                replies.append(reply.status_code)

    with ScriptedModel("Yes.") as model:
        fit(log, asking, models={"critic": f"{model.url}#policy"})

    assert replies == [401, 404, 404]


def test_a_run_that_is_asked_to_stop_is_told_at_the_head_of_a_round(log):
    """Once it has been told, it is told the same when it is resumed; before that it was told to go on."""
    told, fell = [], []

    async def going_on(run: agl.Run) -> None:
        told.append(await run.goes_on())
        event = RunStopAsked(run_id=run.id, why="enough")
        run.store.log.append([Draft(stream=f"run/{run.id}", event=event, key="asked")])
        told.append(await run.goes_on())
        if not fell:
            fell.append(1)
            raise RuntimeError("fell")

    with pytest.raises(RuntimeError, match="fell"):
        fit(log, going_on)
    fit(log, going_on, resume=facts(log, RunStarted)[0][1].run_id)

    assert told == [True, False] * 2


def test_two_prompts_are_compared_on_the_sealed_split(log):
    """Task by task; the better one is promoted, in the stream of its bundle."""
    found = []

    async def comparing(run: agl.Run) -> None:
        short = await run.publish({"prompt_template": agl.PromptTemplate(template="Hi")})
        long = await run.publish({"prompt_template": agl.PromptTemplate(template="Hello")}, parent=short)
        found.append(await run.examine(before=short, after=long, repeat=2))
        await run.promote(long, why="longer")

    trainer = Trainer(algorithm=agl.algo(comparing), store=log, preflight=False)
    trainer.fit(prompted, [{"n": 0}], test_dataset=[{"n": n} for n in range(3)])

    assert found[0].difference.mean == pytest.approx(0.3)
    assert found[0].before.n == 3
    ((stream, promoted),) = facts(log, ResourcesPromoted)
    assert stream == f"resources/{promoted.resources_id}"
    assert (promoted.version, promoted.why) == (2, "longer")


def test_a_bootstrap_says_what_its_sample_can(log):
    """The same twice; of one value alone, nothing."""
    values = [0.0] * 10 + [1.0] * 10

    found = Estimate.bootstrap(values, seed=1)

    assert found == Estimate.bootstrap(values, seed=1)
    assert found.ci95[0] == pytest.approx(0.3, abs=0.051)
    assert found.ci95[1] == pytest.approx(0.7, abs=0.051)
    assert Estimate.bootstrap([1.0]).to_json()["ci95"] is None
