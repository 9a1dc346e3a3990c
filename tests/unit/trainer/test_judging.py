"""Judges in a run: each rollout is scored when it has ended, before whoever waits for it goes on; once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Event
from typing import Any, ClassVar

import httpx
import pytest

import agl_core as agl
from agl_core.errors import BadValue, EngineFailed, RunNotImportable
from agl_core.events import CallRecorded, RewardGiven, RewardWithheld, RunStarted
from agl_core.judges import ExactMatch, Numeric, Verdict
from agl_core.testing import Asked, Failing, ScriptedModel
from agl_core.trainer import Trainer, resume

TASKS = [{"question": "2 + 2?", "answer": "4"}, {"question": "2 + 3?", "answer": "5"}]


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Where the run of a test is to write."""
    return str(tmp_path / "log.db")


@agl.rollout
async def answering(task: dict[str, Any], policy: agl.LLM) -> None:
    """One call, and no number."""
    async with httpx.AsyncClient() as client:
        reply = await client.post(
            f"{policy.endpoint}/chat/completions",
            headers={"authorization": f"Bearer {policy.api_key}"},
            json={"model": policy.model, "messages": [{"role": "user", "content": task["question"]}]},
        )
    reply.raise_for_status()


@agl.rollout
async def failing(task: dict[str, Any]) -> None:
    """Ends as its task says."""
    if task["ends"] == "raised":
        raise ValueError("bad task")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Whoever has ended."""

    name: ClassVar[str] = "ended"
    version: ClassVar[str] = "2"

    worth: float = 1.0

    def __call__(self, trace: agl.Trace) -> Verdict:
        """The same for all."""
        return Verdict(value=self.worth)


class Stumbling:
    """Evaluates, and falls over the first time."""

    name = "stumbling"
    has_fallen = False
    rewards: ClassVar[list[float | None]] = []

    async def run(self, run: agl.Run) -> None:
        """Once over the validation tasks; then, in another life, over the training tasks too."""
        await run.rollouts(run.val, mode="val")
        if not Stumbling.has_fallen:
            Stumbling.has_fallen = True
            raise RuntimeError("fell")
        Stumbling.rewards[:] = [one.reward for one in await run.rollouts(run.train, mode="train")]


class Once:
    """One round, whose outcomes are kept."""

    name = "once"

    def __init__(self) -> None:
        self.outcomes: list[agl.Outcome] = []

    async def run(self, run: agl.Run) -> None:
        """Ask for the tasks."""
        self.outcomes = await run.rollouts(run.train)


def facts(log: str, kind: type) -> list[Any]:
    """Events of a type, in order."""
    with agl.open_log(log, readonly=True) as found:
        return [record.event for record in found.read(types=[kind.type])]


def answer(asked: Asked) -> str:
    """The policy says 4, whatever it is asked."""
    return "It is 4."


def test_rollouts_are_scored_before_the_algorithm_goes_on(log):
    """An agent that gives no number has one by then."""
    algorithm = Once()
    with ScriptedModel(answer) as model:
        trainer = Trainer(algorithm=algorithm, store=log, models={"policy": f"{model.url}#policy"}, judges="numeric")
        trainer.fit(answering, TASKS)

    assert [one.reward for one in algorithm.outcomes] == [1.0, 0.0]
    assert {(one.judge, one.name, one.attempt_id) for one in facts(log, RewardGiven)} == {
        ("numeric 1", "primary", None)
    }


def test_several_judges_have_names_of_their_own(log):
    """One of them trains; the others are there to be looked at."""
    algorithm = Once()
    with ScriptedModel(answer) as model:
        judges = [Numeric(), {"name": "exact_match", "spaces": "drop", "as": "exact"}]
        trainer = Trainer(algorithm=algorithm, store=log, models={"policy": f"{model.url}#policy"}, judges=judges)
        trainer.fit(answering, TASKS[:1])

    assert {(one.name, one.value) for one in facts(log, RewardGiven)} == {("primary", 1.0), ("exact", 0.0)}
    assert algorithm.outcomes[0].reward == 1.0


def test_one_judge_may_be_a_dict_with_its_name(log):
    """It is no mapping of names to judges, though it is a mapping: `as` says what it gives, else that is `primary`."""
    primary = Trainer(store=log, judges={"name": "numeric", "expected": "sum"})
    style = Trainer(store=log, judges={"name": "numeric", "as": "style"})

    assert [(seat.dimension, seat.judge) for seat in primary.told.judges] == [("primary", Numeric(expected="sum"))]
    assert [(seat.dimension, seat.judge) for seat in style.told.judges] == [("style", Numeric())]


def test_a_model_is_asked_as_a_judge_when_the_attempt_is_settled(log):
    """Its calls are recorded with the rollout, and no call of the policy's is added by them."""
    prompts = []

    def grade(asked: Asked) -> str:
        prompts.append(asked.last)
        return '{"score": 8, "reason": "short"}'

    algorithm = Once()
    with ScriptedModel(answer) as model, ScriptedModel(grade, model="grader") as grader:
        judge = {"name": "llm", "model": f"{grader.url}#grader", "expected": "answer"}
        trainer = Trainer(algorithm=algorithm, store=log, models={"policy": f"{model.url}#policy"}, judges=[judge])
        trainer.fit(answering, TASKS[:1])

    calls = facts(log, CallRecorded)
    (reward,) = facts(log, RewardGiven)
    with agl.open_log(log, readonly=True) as found:
        (trace,) = agl.Store(found).ask.traces([reward.rollout_id])
    assert [(call.role, call.attempt_id) for call in calls] == [
        ("policy", trace.attempt_id),
        ("judge", trace.attempt_id),
    ]
    assert [call.role for call in trace.calls] == ["policy", "judge"]
    assert reward.value == 0.8
    assert reward.evidence["calls"] == [calls[1].call_id]
    assert "It is 4." in prompts[0]


def test_the_key_of_a_judges_model_is_in_the_environment_and_not_in_the_log(log, monkeypatch):
    """By the name that the gateway has for it."""
    monkeypatch.setenv("AGL_JUDGE_GRADER_API_KEY", "sk-of-the-grader")
    with ScriptedModel(answer) as model, ScriptedModel('{"score": 8}', model="grader") as grader:
        judge = {"name": "llm", "model": f"{grader.url}#grader"}
        Trainer(store=log, models={"policy": f"{model.url}#policy"}, judges=[judge]).fit(answering, TASKS[:1])

    assert {one.headers["authorization"] for one in grader.requests} == {"Bearer sk-of-the-grader"}
    assert all(
        b"sk-of-the-grader" not in path.read_bytes() for path in Path(log).parent.glob("log.db*") if path.is_file()
    )


def test_a_policy_may_judge_itself(log):
    """Named as the run names it; its judgements are no policy's."""
    with ScriptedModel(lambda asked: '{"score": 5}' if "You judge" in asked.last else "It is 4.") as model:
        trainer = Trainer(
            store=log, models={"policy": f"{model.url}#policy"}, judges={"primary": {"name": "llm", "model": "policy"}}
        )
        trainer.fit(answering, TASKS[:1])

    assert [(call.role, call.call.model) for call in facts(log, CallRecorded)] == [
        ("policy", "policy"),
        ("judge", "policy"),
    ]


def test_a_judge_that_cannot_tell_is_a_reason_and_no_zero(log):
    """The others are judged all the same."""
    algorithm = Once()
    with ScriptedModel(answer) as model:
        trainer = Trainer(
            algorithm=algorithm, store=log, models={"policy": f"{model.url}#policy"}, judges=["exact_match"]
        )
        trainer.fit(answering, [{"question": "?"}, {"question": "2 + 2?", "answer": "It is 4."}])

    (withheld,) = facts(log, RewardWithheld)
    assert [one.reward for one in algorithm.outcomes] == [None, 1.0]
    assert (withheld.code, withheld.judge, withheld.name) == ("EXPECTED_MISSING", "exact_match 1", "primary")


def test_a_model_that_does_not_answer_is_a_reason(log, caplog):
    """With the code of it, said at once: an algorithm may stop for want of the number."""
    with ScriptedModel(answer) as model, ScriptedModel(lambda _asked: Failing(status=400), model="grader") as grader:
        judge = {"name": "llm", "model": f"{grader.url}#grader"}
        Trainer(store=log, models={"policy": f"{model.url}#policy"}, judges=[judge]).fit(answering, TASKS[:1])

    (withheld,) = facts(log, RewardWithheld)
    assert withheld.code == "JUDGE_UNANSWERED"
    assert f"llm 1 gave no number for {withheld.rollout_id} [JUDGE_UNANSWERED]" in caplog.text
    assert facts(log, RewardGiven) == []


def test_what_the_policy_did_not_cause_is_not_judged(log):
    """Unless the run says that it counts."""
    tasks = [{"ends": "well"}, {"ends": "raised"}]
    config = agl.RolloutConfig(max_attempts=1)

    Trainer(store=log, judges=[Ended()], rollout_config=config).fit(failing, tasks)
    usual = len(facts(log, RewardGiven))
    Trainer(store=log, judges=[Ended()], rollout_config=config, failures={"agent_raised": "train"}).fit(failing, tasks)

    assert usual == 1
    assert len(facts(log, RewardGiven)) == 3


def test_a_run_that_is_resumed_has_its_judges_and_judges_nothing_twice(log):
    """From nothing but its log; what was paid for is not asked again."""
    Stumbling.has_fallen, asked = False, []

    def grade(request: Asked) -> str:
        asked.append(request.last)
        return '{"score": 10}'

    with ScriptedModel(answer) as model, ScriptedModel(grade, model="grader") as grader:
        judge = {"name": "llm", "model": f"{grader.url}#grader"}
        trainer = Trainer(
            algorithm=Stumbling(), store=log, models={"policy": f"{model.url}#policy"}, judges=[judge], preflight=False
        )
        with pytest.raises(RuntimeError, match="fell"):
            trainer.fit(answering, TASKS[:1], val_dataset=TASKS)
        before = len(asked)
        (started,) = facts(log, RunStarted)
        resume(started.run_id, log=log)

    assert started.config.judges["primary"].name == "llm"
    assert (before, len(asked)) == (2, 3)
    assert Stumbling.rewards == [1.0]
    assert len(facts(log, RewardGiven)) == 3


def test_what_could_not_be_judged_is_judged_when_the_run_is_resumed(log):
    """A model was away, the run stopped for want of numbers, and goes on when it is back."""
    Stumbling.has_fallen, is_away = False, True

    def grade(_asked: Asked) -> Any:
        return Failing(status=400) if is_away else '{"score": 10}'

    with ScriptedModel(answer) as model, ScriptedModel(grade, model="grader") as grader:
        judge = {"name": "llm", "model": f"{grader.url}#grader"}
        trainer = Trainer(
            algorithm=Stumbling(), store=log, models={"policy": f"{model.url}#policy"}, judges=[judge], preflight=False
        )
        with pytest.raises(RuntimeError, match="fell"):
            trainer.fit(answering, TASKS[:1], val_dataset=TASKS)
        withheld, is_away = len(facts(log, RewardWithheld)), False
        (started,) = facts(log, RunStarted)
        resume(started.run_id, log=log)

    assert withheld == 2
    assert [one.value for one in facts(log, RewardGiven)] == [1.0] * 3
    assert len(facts(log, RewardWithheld)) == 2


def test_a_judge_of_another_version_is_told_of(log, monkeypatch, caplog):
    """The run goes on with it: nobody has the old one."""
    Stumbling.has_fallen = False
    trainer = Trainer(algorithm=Stumbling(), store=log, judges=[Ended()], preflight=False)
    with pytest.raises(RuntimeError, match="fell"):
        trainer.fit(failing, [{"ends": "well"}], val_dataset=[{"ends": "well"}])
    monkeypatch.setattr(Ended, "version", "3")

    resume(facts(log, RunStarted)[0].run_id, log=log)

    assert "began with version 2 of its judge: today it is ended 3" in caplog.text


def test_a_rollout_is_judged_while_others_go_on(log):
    """A slow judge is no time in which no agent runs: the second rollout waits here until the first is judged."""
    judged = Event()

    def grade(_asked: Asked) -> str:
        judged.set()
        return '{"score": 5}'

    def slow(asked: Asked) -> str:
        if asked.last == TASKS[1]["question"]:
            assert judged.wait(30)
        return "It is 4."

    with ScriptedModel(slow) as model, ScriptedModel(grade, model="grader") as grader:
        judge = {"name": "llm", "model": f"{grader.url}#grader"}
        trainer = Trainer(store=log, models={"policy": f"{model.url}#policy"}, judges=[judge], n_runners=2)
        trainer.fit(answering, TASKS)

    assert [one.value for one in facts(log, RewardGiven)] == [0.5, 0.5]
    assert len(grader.requests) == 2


def test_a_deterministic_run_is_judged_one_by_one(log):
    """A policy that judges itself is asked in the same order each time."""
    at_once, most, changed = 0, 0, Condition()

    def both(asked: Asked) -> str:
        nonlocal at_once, most
        if "You judge" not in asked.last:
            return "It is 4."
        with changed:
            at_once += 1
            most = max(most, at_once)
            changed.notify_all()
            changed.wait_for(lambda: at_once > 1, timeout=0.2)  # whoever else is asked comes meanwhile
            at_once -= 1
        return '{"score": 5}'

    with ScriptedModel(both) as model:
        judges = {name: {"name": "llm", "model": "policy", "rubric": name} for name in ("primary", "style")}
        trainer = Trainer(store=log, models={"policy": f"{model.url}#policy"}, judges=judges, deterministic=True)
        trainer.fit(answering, TASKS)

    assert len(facts(log, RewardGiven)) == 4
    assert most == 1


def test_a_judge_of_ones_own_is_found_again(log):
    """By the module it is in, with its options."""
    Stumbling.has_fallen = False
    trainer = Trainer(algorithm=Stumbling(), store=log, judges=[Ended(worth=0.25)], preflight=False)
    with pytest.raises(RuntimeError, match="fell"):
        trainer.fit(failing, [{"ends": "well"}], val_dataset=[{"ends": "well"}])
    (started,) = facts(log, RunStarted)

    resume(started.run_id, log=log)

    assert started.config.judges["primary"].name == f"{__name__}:Ended"
    assert Stumbling.rewards == [0.25]


def test_a_judge_that_cannot_be_found_again_is_asked_for(log):
    """Who resumes such a run has to bring it."""
    Stumbling.has_fallen = False

    @dataclass(frozen=True, kw_only=True)
    class Local(Ended):
        """In no module."""

    trainer = Trainer(algorithm=Stumbling(), store=log, judges=[Local()], preflight=False)
    with pytest.raises(RuntimeError, match="fell"):
        trainer.fit(failing, [{"ends": "well"}], val_dataset=[{"ends": "well"}])
    (started,) = facts(log, RunStarted)

    with pytest.raises(RunNotImportable, match="Local"):
        resume(started.run_id, log=log)


@pytest.mark.parametrize(
    ("judges", "why"),
    [
        (["exact_match", "numeric"], "would all give 'primary'"),
        ([{"name": "exact_match", "as": "a"}, {"name": "numeric", "as": "a"}], "would all give 'a'"),
        ([{"name": "exact_match", "space": "drop"}], "space"),
        ([{"name": "llm"}], "model"),
        ([len], "a name and a version, each a word"),
        ([ExactMatch(), {"name": "numeric", "as": "n", "tolerance": -1.0}], "tolerance"),
    ],
)
def test_judges_that_cannot_be_are_refused(judges, why):
    """Before anything runs."""
    with pytest.raises(BadValue, match=why):
        Trainer(judges=judges)


def test_a_model_that_is_not_there_stops_the_run_before_it_starts(log):
    """Nothing is spent on rollouts that nobody could judge."""
    judge = {"name": "llm", "model": "http://127.0.0.1:9/v1#grader"}

    with pytest.raises((EngineFailed, BadValue)):
        Trainer(store=log, judges=[{**judge, "model": "http://127.0.0.1:9/v1"}]).fit(failing, [{"ends": "well"}])

    assert facts(log, RunStarted) == []


def test_a_model_that_nobody_serves_is_refused(log):
    """A word that is no URL names a model of the run."""
    with pytest.raises(BadValue, match="neither an engine URL"):
        Trainer(store=log, judges=[{"name": "llm", "model": "grader"}]).fit(failing, [{"ends": "well"}])


def test_the_rollout_that_pre_flight_looks_at_is_judged_like_any_other(log, caplog):
    """It is waited for elsewhere than in the loop of the run, which is where judges are at work."""
    algorithm = Once()

    with ScriptedModel(answer) as model, ScriptedModel('{"score": 5}', model="grader") as grader:
        trainer = Trainer(
            algorithm=algorithm,
            store=log,
            models={"policy": f"{model.url}#policy"},
            judges=[{"name": "llm", "model": f"{grader.url}#grader"}],
            preflight="warn",
        )
        trainer.fit(answering, TASKS)

    assert [one.reward for one in algorithm.outcomes] == [0.5, 0.5]
    assert "raised" not in caplog.text
