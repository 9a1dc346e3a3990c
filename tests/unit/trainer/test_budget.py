"""A budget is met exactly: what it covers is asked, nothing beyond it, and a larger one goes on from there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import agl_core as agl
from agl_core.errors import BadValue, BudgetSpent, BudgetTooSmall, PriceUnknown
from agl_core.events import CallRecorded, RunResumed, RunStarted
from agl_core.run import SPENDING, Plan, Planned, Prices, Spending, spent
from agl_core.testing import Asked, Failing, ScriptedModel
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
    body = {"model": llm.model, "messages": [{"role": "user", "content": word}]}
    async with (
        aiohttp.ClientSession(headers={"authorization": f"Bearer {llm.api_key}"}) as client,
        client.post(f"{llm.endpoint}/chat/completions", json=body) as reply,
    ):
        reply.raise_for_status()
        return float((await reply.json())["choices"][0]["message"]["content"])


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


@pytest.mark.parametrize("calls", [1, 7, 12])
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


def test_tries_of_the_gateway_are_requests_too(log):
    """A provider that is busy hears each of them: all are counted, in the log as well."""
    answers = iter([Failing(after=0, code="busy", status=503)] * 3)

    with ScriptedModel(lambda request: next(answers, None) or tenths(request)) as model:
        with pytest.raises(BudgetSpent):
            fit(log, model, budget={"calls": 7}, n_runners=3)
        heard = len(model.requests)
        fit(log, model, resume="run-budget", budget={"calls": 15})

        assert (heard, len(model.requests)) == (7, 15)
    assert sum(call.requests for call in facts(log, CallRecorded)) == 15


def test_a_try_that_is_not_covered_waits_too(log):
    """The gateway asks a busy provider no second time when that would be one too many."""
    with ScriptedModel(lambda _request: Failing(after=0, code="busy", status=503)) as model:
        with pytest.raises(BudgetSpent):
            fit(log, model, budget={"calls": 2}, n_runners=1)

        assert len(model.requests) == 2
    (call,) = facts(log, CallRecorded)
    assert (call.requests, call.tries) == (2, ("http_503", "http_503"))


def test_an_attempt_that_waits_is_handed_out_again(log):
    """It failed at nothing: no try is used up, no error is its lesson, and what it asked before is asked again."""
    options = {"n_runners": 4, "rollout_config": agl.RolloutConfig(max_attempts=1)}

    with ScriptedModel(tenths) as model:
        with pytest.raises(BudgetSpent):
            fit(log, model, thrice, budget={"calls": 17}, **options)
        heard = len(model.requests)
        ended = fit(log, model, thrice, resume="run-budget", budget={"calls": 100}, **options)

    assert heard == 17
    assert (ended.result["train"]["mean"], ended.result["train"]["n"]) == (pytest.approx(1.65), 12)
    assert {call.status for call in facts(log, CallRecorded)} == {"ok"}


@pytest.mark.parametrize(("limit", "at_least"), [({"tokens": 100}, 100), ({"usd": 0.0002}, 0.0002)])
def test_no_request_leaves_once_tokens_or_money_are_spent(log, limit, at_least):
    """What was under way may end above it, by a call of each runner at most."""
    ((what, _),) = limit.items()
    options = {"budget": limit, "prices": {"policy": (1, 3)}, "n_runners": 3}

    with ScriptedModel(tenths) as model:
        with pytest.raises(BudgetSpent) as raised:
            fit(log, model, **options)
        heard = len(model.requests)

    assert heard < 12
    with agl.open_log(log, readonly=True) as opened:
        found = spent(opened, "run-budget", Prices(options["prices"]))
    assert raised.value.spent == {"calls": found.calls, "tokens": found.tokens, "usd": found.usd}
    assert at_least <= getattr(found, what) < at_least * (1 + 3 / heard) * 1.5


def test_judges_and_the_algorithm_pay_from_the_same_budget(log):
    """Whoever asks: of a rollout's question, its judge's, and the algorithm's own, one is too many."""

    async def asking(run: agl.Run) -> None:
        await run.rollouts(TASKS[:1])
        await run.ask("critic", [{"role": "user", "content": "0"}])

    with ScriptedModel(lambda request: "7" if request.last == "0" else '{"score": 1}') as model:
        options = {
            "models": dict.fromkeys(("policy", "critic"), f"{model.url}#policy"),
            "judges": {"name": "llm", "model": f"{model.url}#policy", "as": "style"},
            "store": log,
            "preflight": False,
            "algorithm": agl.algo(asking),
        }
        heard = []
        for calls, resume in ((1, None), (2, "run-budget"), (3, "run-budget")):
            trainer = Trainer(budget={"calls": calls}, **options)
            begin = {"resume": resume} if resume else {"run_id": "run-budget"}
            try:
                trainer.fit(once_free, TASKS[:1], **begin)
            except BudgetSpent:
                heard.append(len(model.requests))

        assert (heard, len(model.requests)) == ([1, 2], 3)
    assert sorted(call.role for call in facts(log, CallRecorded)) == ["judge", "policy", "tool"]


@agl.rollout
async def once_free(task: dict[str, Any], policy: agl.LLM) -> float:
    """Asks the model of that name."""
    return await asked(policy, f"{task['n']}")


def test_a_budget_holds_until_another_is_said(log):
    """It is recorded when the run begins, and when it is resumed: then it is the last that counts."""
    with ScriptedModel(tenths) as model:
        with pytest.raises(BudgetSpent):
            fit(log, model, budget={"calls": 3}, prices={"policy": (1, 2)})
        with pytest.raises(BudgetSpent) as same:
            fit(log, model, resume="run-budget")
        with pytest.raises(BudgetSpent):
            fit(log, model, resume="run-budget", budget={"calls": 5})
        with pytest.raises(BudgetSpent) as last:
            fit(log, model, resume="run-budget")

        assert len(model.requests) == 5
    assert (same.value.limit, last.value.limit) == ({"calls": 3}, {"calls": 5})
    assert facts(log, RunStarted)[0].config.budget == {"calls": 3}
    assert [event.prices for event in facts(log, RunResumed)] == [{"policy": (1.0, 2.0)}] * 3


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"budget": budget}
            for budget in ({"calls": 0}, {"usd": -1.0}, {"calls": 2.5}, {"seconds": 5}, {"calls": True})
        ),
        *({"prices": {"policy": price}} for price in (1, (1,), (1, -1), (1, float("nan")), "1/2")),
    ],
    ids=str,
)
def test_a_budget_or_a_price_that_is_none_is_refused_at_the_door(log, options):
    """Before anything is opened."""
    with pytest.raises(BadValue):
        Trainer(store=log, **options)

    assert not Path(log).exists()


def test_money_needs_the_price_of_each_model(log):
    """Before anything runs; one that is said for the model's own name will do."""
    with ScriptedModel(tenths) as model:
        models = {"policy": f"{model.url}#policy", "critic": f"{model.url}#policy"}
        with pytest.raises(PriceUnknown) as raised:
            Trainer(models=models, store=log, budget={"usd": 1}).fit(once_free, TASKS)
        told = Trainer(models=models, store=log, budget={"usd": 1}, prices={"critic": (0, 0)}, preflight=False)
        with pytest.raises(PriceUnknown, match="known of policy:"):
            told.fit(once_free, TASKS)

        assert not model.requests
    assert raised.value.models == ("policy", "critic")
    assert not facts(log, RunStarted)


def test_a_model_that_is_named_late_needs_its_price_too(log):
    """The algorithm asks one by its URL: the run stops before that question leaves, and goes on with the price."""

    async def asking(run: agl.Run) -> None:
        await run.ask(f"{model.url}#policy", [{"role": "user", "content": "0"}])
        run.result.update(usd=(await run.spending()).usd)

    with ScriptedModel("yes") as model:
        options = {"store": log, "preflight": False, "algorithm": agl.algo(asking), "budget": {"usd": 1}}
        with pytest.raises(PriceUnknown):
            Trainer(**options).fit(idle, TASKS[:1], run_id="run-budget")
        assert not model.requests
        ended = Trainer(**options, prices={"policy": (1e6, 0)}).fit(idle, TASKS[:1], resume="run-budget")

    (call,) = facts(log, CallRecorded)
    assert ended.result["usd"] == call.call.usage.prompt_tokens


@agl.rollout
def idle(task: Any) -> float:
    """Asks nobody."""
    return 1.0


def test_what_is_planned_is_what_is_enforced(log):
    """A run reads what the gateway counts, request by request, and what it costs, to the last digit."""
    read = []

    async def reading(run: agl.Run) -> None:
        for n in range(3):
            await run.rollouts(TASKS[4 * n : 4 * n + 4], label=f"round-{n}")
            read.append((await run.spending(f"after-{n}"), run.budget.covers(read[-1][0]) if read else True))

    with ScriptedModel(tenths) as model:
        fit(log, model, algorithm=agl.algo(reading), budget={"calls": 12, "usd": 1}, prices={"policy": (0.1, 0.7)})

    assert [spending.calls for spending, _ in read] == [4, 8, 12]
    assert all(covered for _, covered in read)
    assert isinstance(read[-1][0], Spending)
    with agl.open_log(log, readonly=True) as opened:
        assert read[-1][0] == spent(opened, "run-budget", Prices({"policy": (0.1, 0.7)}))
        (row,) = opened.rows(f"select requests, prompt_tokens + completion_tokens, usd from {SPENDING}")  # noqa: S608
    assert row == pytest.approx((read[-1][0].calls, read[-1][0].tokens, read[-1][0].usd))


def test_a_budget_that_its_algorithm_finds_too_small_is_refused(log):
    """Before anything is opened; a run that went on with it stops when it is spent, as any other."""

    class Picky:
        name = "picky"

        async def run(self, run: agl.Run) -> None:
            await run.rollouts(run.train)

        def plan(self, tasks: Any, budget: Any) -> Plan:
            why = "it pays for no candidate" if budget.calls < 20 else None
            return Plan(lines=(Planned.exactly("all", rollouts=tasks["train"]),), too_small=why)

    with ScriptedModel(tenths) as model:
        with pytest.raises(BudgetTooSmall, match="no candidate"):
            fit(log, model, algorithm=Picky(), budget={"calls": 19})
        assert not Path(log).exists()

        assert fit(log, model, algorithm=Picky(), budget={"calls": 20}).status == "finished"


def test_an_agent_that_goes_on_without_a_model_is_waited_for(log):
    """One whose answers are all there comes to its end, and is not run a second time."""
    ended = []

    @agl.rollout
    async def thoughtful(task: dict[str, Any], llm: agl.LLM) -> float:
        found = await asked(llm, f"{task['n']}")
        await asyncio.sleep(0.1)  # its own work
        ended.append(task["n"])
        return found

    with ScriptedModel(tenths) as model:
        with pytest.raises(BudgetSpent):
            fit(log, model, thoughtful, budget={"calls": 4}, n_runners=4)
        fit(log, model, thoughtful, resume="run-budget", budget={"calls": 12})

        assert len(model.requests) == 12
    assert sorted(ended) == list(range(12))


def test_what_could_not_be_judged_is_judged_again_as_far_as_the_budget_covers(log):
    """A run that is resumed asks its judges first: what waits there ends it too, and a larger budget goes on."""
    answers = iter(["0", Failing(after=0, code="no_such_thing", status=400)])
    fell = []

    async def falling(run: agl.Run) -> None:
        await run.rollouts(TASKS[:1])
        if not fell:
            fell.append(1)
            raise RuntimeError("fell")

    with ScriptedModel(lambda _request: next(answers, '{"score": 1}')) as model:
        url = f"{model.url}#policy"
        options = {"algorithm": agl.algo(falling), "judges": {"name": "llm", "model": url, "as": "style"}}
        with pytest.raises(RuntimeError, match="fell"):
            fit(log, model, budget={"calls": 2}, **options)
        with pytest.raises(BudgetSpent):
            fit(log, model, resume="run-budget", **options)
        ended = fit(log, model, resume="run-budget", budget={"calls": 3}, **options)

        assert (ended.status, len(model.requests)) == ("finished", 3)
