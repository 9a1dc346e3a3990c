"""`agl why`: what led to a thing, back to the first cause."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.events import (
    AttemptFinished,
    AttemptStarted,
    BatchFormed,
    CallRecorded,
    Component,
    ModelCall,
    NoteTaken,
    OutcomesRead,
    PolicyUpdated,
    ResourcesPromoted,
    ResourcesPublished,
    RewardGiven,
    RolloutEnqueued,
    RolloutFinished,
    RunFailed,
    RunStarted,
    RunStopAsked,
    StepRecorded,
    Target,
)
from agl_core.log import SqliteLog, copy
from agl_core.projections import CORE
from agl_core.record import Draft

BASE, BETTER = "Say {n}.", "Please say {n}."
WHOSE = Component(name="someone")


@dataclass
class Told:
    """A log, and what is said of it."""

    log: Path
    run: str = ""

    def ask(self, *words: Any) -> Any:
        """Type `agl why ...` over the log."""
        return CliRunner().invoke(command, ["why", *map(str, words), "--log", str(self.log)])

    def chain(self, *words: Any) -> list[dict[str, Any]]:
        """The steps, for programs."""
        done = self.ask(*words, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)["chain"]

    def types(self, *words: Any) -> list[str]:
        """The types of the facts, the latest first."""
        return [step["type"] for step in self.chain(*words)]

    def one(self, sql: str) -> Any:
        """What a query gives first."""
        with SqliteLog(self.log, readonly=True) as log:
            return log.rows(sql)[0][0]


@agl.rollout
def answer(task: dict[str, Any], prompt: agl.PromptTemplate) -> float:
    """Earns by its prompt."""
    return 1.0 if prompt.template == BETTER else 0.25


def criticised() -> dict[str, str]:
    """What is wrong with it."""
    return {"text": "It never says please."}


def rewritten(critique: str) -> dict[str, str]:
    """A better one."""
    return {"text": f"<prompt>{BETTER}</prompt>"} if critique else {}


async def search(run: agl.Run) -> None:
    """Two branches write the same, the first is turned down; the other is published, tried and promoted."""
    base = run.resources
    assert base is not None
    await run.rollouts(run.train, resources=base, label="seen")
    for name in ("branch-1", "branch-2"):
        branch = run.scope(name)
        said = await branch.step("critique", criticised)
        await branch.goes_on()
        await branch.step("edit", rewritten, said["text"])
        if name == "branch-1":
            await branch.step("candidate.rejected", dict, {"parent": "x", "reason": "duplicate", "text": BETTER})
    better = await run.publish({"prompt": agl.PromptTemplate(BETTER)}, parent=base, why=said["text"])
    await run.rollouts(run.val, resources=better, mode="val", label="tried")
    await run.promote(better, why="it won")


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Told:
    """The log of a search for a better prompt."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AGL_LOAD_PLUGINS", "")
        log = tmp_path_factory.mktemp("why") / "log.db"
        trainer = agl.Trainer(
            algorithm=agl.algo(search), store=str(log), preflight=False,
            initial_resources={"prompt": agl.PromptTemplate(BASE)},
        )  # fmt: skip
        run = trainer.fit(answer, [{"n": 1}, {"n": 2}], val_dataset=[{"n": 3}]).run_id
    return Told(log, run)


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch, tmp_path):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def written(tmp_path):
    """Gives a log of those events, in their streams."""

    def write(*drafts: tuple[str, Any] | Draft) -> Told:
        path = tmp_path / "log.db"
        with SqliteLog(path, projections=CORE) as log:
            log.append([one if isinstance(one, Draft) else Draft(stream=one[0], event=one[1]) for one in drafts])
        return Told(path, "run-1")

    return write


def started(run_id="run-1"):
    """A run began."""
    return f"run/{run_id}", RunStarted(run_id=run_id, agent=WHOSE, algorithm=WHOSE)


def enqueued(name, **more):
    """A rollout of it."""
    event = RolloutEnqueued(rollout_id=name, input=1, task_id="ta-1", run_id="run-1", group="g", **more)
    return f"rollout/{name}", event


def called(name, *, rollout="ro-1", **more):
    """The policy was asked."""
    event = CallRecorded(
        call_id=name, rollout_id=rollout, attempt_id="at-" + rollout[3:], call=ModelCall(model="policy"),
        started_at=0, latency=0.0, **more,
    )  # fmt: skip
    return Draft(stream=f"rollout/{rollout}", event=event, key=f"call/{name}")


def begun(rollout):
    """Somebody took it."""
    attempt = AttemptStarted(rollout_id=rollout, attempt_id="at-" + rollout[3:], sequence=1, worker_id="wk-1", token=1)
    return f"rollout/{rollout}", attempt


def test_a_promoted_prompt_is_walked_back_to_the_start_of_its_run(searched):
    """What it earned, what wrote it, what that had seen, and who asked for all of it."""
    steps = searched.chain("rs")

    assert [step["type"] for step in steps] == [
        "resources.promoted", "outcomes.read", "rollout.enqueued", "resources.published", "step.recorded",
        "step.recorded", "outcomes.read", "rollout.enqueued", "resources.published", "run.started",
    ]  # fmt: skip
    promoted, _, _, published, edit, critique, seen, *_ = (step["what"] for step in steps)
    assert "its mean 1 on 1 tasks of val: it won" in promoted
    assert "It never says please." in published
    assert "`edit` was done in branch-2" in edit  # branch-1 said the same, and was turned down
    assert "`critique` was done in branch-2" in critique
    assert "2 train rollouts" in seen
    assert "its mean 0.25 on 2 tasks" in seen


def test_each_step_says_what_it_led_to(searched):
    """Only the one that is asked about led to nothing here."""
    steps = searched.chain("rs")

    positions = [step["position"] for step in steps]
    assert steps[0]["explains"] is None
    assert all(step["explains"] in positions for step in steps[1:])
    assert len(set(positions)) == len(positions)


def test_whatever_is_asked_about_ends_where_its_run_began(searched):
    """A rollout, a reward, a run: by their ids, or how they begin."""
    rollout = searched.one("select rollout_id from rollouts where mode = 'val'")
    reward = searched.one("select id from rewards where rollout_id = (select rollout_id from rollouts limit 1)")

    assert searched.types(rollout)[:4] == [
        "rollout.finished", "attempt.finished", "attempt.started", "rollout.enqueued",
    ]  # fmt: skip
    assert searched.types(reward)[:2] == ["reward.given", "attempt.started"]
    assert searched.types(searched.run)[:2] == ["run.finished", "resources.promoted"]
    for id_ in (rollout, reward, searched.run, rollout[3:]):
        assert searched.types(id_)[-1] == "run.started"


def test_the_past_is_asked_why(searched):
    """Before it was promoted, a version was published."""
    at = searched.one("select position from events where type = 'resources.promoted'") - 1

    assert searched.types("rs", "--at", at)[0] == "resources.published"


def test_weights_come_of_a_batch_and_that_of_rollouts(written):
    """A call of the second round leads through the weights that answered it to the first."""
    told = written(
        started(), enqueued("ro-1"), begun("ro-1"), called("ca-1", policy_version=0),
        Draft(stream="run/run-1", event=OutcomesRead(run_id="run-1", as_of=4), key="g"),
        ("run/run-1", BatchFormed(run_id="run-1", batch_id="ba-1", adapter="a", rollouts=("ro-1",), captured=1, kept=1,
                                  rows=1, digest="b2:0")),
        Draft(stream="run/run-1", key="run-1/main/update/train/0", event=StepRecorded(
            run_id="run-1", label="train", digest="b2:1", result={"checkpoint": "b2:77"})),
        ("run/run-1", PolicyUpdated(run_id="run-1", policy="policy", version=1, checkpoint="b2:77")),
        enqueued("ro-2"), begun("ro-2"), called("ca-2", rollout="ro-2", policy_version=1),
    )  # fmt: skip

    expected = [
        "call.recorded", "attempt.started", "rollout.enqueued", "policy.updated", "step.recorded", "batch.formed",
        "outcomes.read", "rollout.enqueued", "run.started",
    ]  # fmt: skip
    assert told.types("ca-2") == expected
    assert told.types("ba-1") == ["batch.formed", "outcomes.read", "rollout.enqueued", "run.started"]


def test_an_event_that_names_its_cause_is_believed(written):
    """Before anything that could be made of its words."""
    note = Draft(stream="log", event=NoteTaken(text="a"))
    told = written(
        started(), note, ("resources/rs-1", ResourcesPublished(resources_id="rs-1", version=1, resources={}))
    )
    with SqliteLog(told.log, projections=CORE) as log:
        cause = log.rows("select id from events where position = 2")[0][0]
        event = ResourcesPromoted(resources_id="rs-1", version=1, run_id="run-1")
        log.append([Draft(stream="resources/rs-1", event=event, causation_id=cause)])

    assert told.types("rs-1") == ["resources.promoted", "note.taken"]


def test_a_failed_run_says_who_asked_it_to_stop(written):
    """And a run that nobody stopped says where it began."""
    told = written(
        started(),
        ("run/run-1", RunStopAsked(run_id="run-1", why="enough", by="ann")),
        ("run/run-1", RunFailed(run_id="run-1", code="X", why="it broke")),
    )

    failed, stopped, began = told.chain("run-1")

    assert failed["what"] == "run-1 failed with X: it broke"
    assert stopped["what"] == "run-1 was asked to stop by ann: enough"
    assert began["type"] == "run.started"


def test_a_judges_reward_leads_to_what_it_asked_and_to_its_target(written):
    """And a call to the one it was made for, and the one it tries again."""
    told = written(
        started(), enqueued("ro-1"), begun("ro-1"), called("ca-1"), called("ca-2", parent_call_id="ca-1"),
        called("ca-3", role="judge", retry_of="ca-2"),
        ("rollout/ro-1", RewardGiven(rollout_id="ro-1", target=Target(kind="call", id="ca-2"), value=0.5, judge="llm 1",
                                     evidence={"calls": ["ca-3"]})),
    )  # fmt: skip
    reward = told.one("select id from rewards")

    steps = told.chain(reward)

    assert [step["position"] for step in steps] == [7, 6, 5, 4, 3, 2, 1]
    assert "llm 1 gave 0.5 as 'primary' to call ca-2 of ro-1" in steps[0]["what"]


def test_a_judge_who_comes_later_judges_what_had_ended(written):
    """Its reward names no attempt."""
    told = written(
        started(), enqueued("ro-1"), begun("ro-1"),
        ("rollout/ro-1", AttemptFinished(rollout_id="ro-1", attempt_id="at-1", exit_status="completed")),
        ("rollout/ro-1", RolloutFinished(
            rollout_id="ro-1", attempt_id="at-1", exit_status="completed", status="succeeded")),
        ("rollout/ro-1", RewardGiven(rollout_id="ro-1", target=Target(kind="rollout", id="ro-1"), value=1, judge="j")),
    )  # fmt: skip

    assert [step["position"] for step in told.chain(told.one("select id from rewards"))] == [6, 5, 4, 3, 2, 1]


def test_what_goes_in_circles_is_walked_once(written):
    """Versions that say they come from each other, forks of each other, calls that each were made for the other."""
    told = written(
        ("resources/rs-1", ResourcesPublished(resources_id="rs-1", version=1, resources={}, parent="rs-2@1")),
        ("resources/rs-2", ResourcesPublished(resources_id="rs-2", version=1, resources={}, parent="rs-1@1")),
        enqueued("ro-1", parent="ro-2"), enqueued("ro-2", parent="ro-1"),
        called("ca-1", parent_call_id="ca-2"), called("ca-2", parent_call_id="ca-1"), called("ca-3", retry_of="ca-3"),
    )  # fmt: skip

    assert told.types("rs-1@1") == ["resources.published"] * 2
    assert told.types("ro-1") == ["rollout.enqueued"] * 2
    assert told.types("ca-1").count("call.recorded") == 2
    assert told.types("ca-3").count("call.recorded") == 1


def test_what_was_erased_ends_the_walk(written, tmp_path):
    """Where it stood, and that it was erased, is still there."""
    told = written(started(), enqueued("ro-1"), begun("ro-1"))
    copy(told.log, tmp_path / "copy.db", erase=["run/run-1"], projections=CORE)
    erased = Told(tmp_path / "copy.db")

    assert erased.types("ro-1") == ["attempt.started", "rollout.enqueued"]


def test_a_long_chain_is_cut_in_the_middle(searched):
    """Both ends are what one asks for."""
    shown = searched.ask("rs", "--limit", 4).stdout.splitlines()
    whole = searched.ask("rs", "--limit", 0).stdout.splitlines()

    assert (len(shown), len(whole)) == (5, 10)
    assert shown[0] == whole[0]
    assert "6 steps more: --limit 0 shows all" in shown[3]
    assert "was started" in shown[4]


@pytest.mark.parametrize(
    ("given", "code", "why"),
    [
        ("ro-nothing", "UNKNOWN_ID", "no rollout"),
        ("rs-nothing", "UNKNOWN_ID", "no resource"),
        ("nothing", "UNKNOWN_ID", "no rollout"),
        ("", "UNKNOWN_ID", "no rollout"),
        ("at-1", "BAD_VALUE", "name a run, a rollout"),
        ("ro", "BAD_VALUE", "more than one begins so"),
    ],
)
def test_what_is_nothing_is_refused(searched, given, code, why):
    """Coded, and with what may be asked about."""
    refused = searched.ask(given)

    assert refused.exit_code == 1
    assert code in refused.stderr
    assert why in refused.stderr


def test_an_id_that_is_nearly_one_names_it(searched):
    """A letter was mistyped."""
    refused = searched.ask(searched.run[:-1] + "~")

    assert f"did you mean {searched.run}?" in refused.stderr
