"""Pre-flight is the run's own first rollout: looked at once, recorded, and no extra one."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.errors import BadValue, CaptureNone
from agl_core.testing import ScriptedModel
from agl_core.trainer import Trainer

from ._learning import Learner, Settings, ask, sound

TASKS = [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    monkeypatch.delenv("AGL_PREFLIGHT", raising=False)


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Where the run of a test is to write."""
    return str(tmp_path / "log.db")


@pytest.fixture
def trainer(log: str) -> Iterator[Callable[..., Trainer]]:
    """A trainer of a learning algorithm, on a model that gives token ids."""
    with ScriptedModel("4", owner="vllm") as model:

        def made(algorithm: Any = None, **options: Any) -> Trainer:
            url = f"{model.url}#policy"
            return Trainer(**{
                "algorithm": Learner() if algorithm is None else algorithm,
                "models": {"policy": url},
                "store": log,
                "n_runners": 4,
                **options,
            })  # fmt: skip

        yield made


@agl.rollout
async def mute(task: Any) -> float:
    """Asks no model."""
    return float(task["n"])


class Fell(Exception):
    """What an algorithm of these tests stumbles over."""


class Stumbling(Learner):
    """Learns a round, and falls over."""

    async def run(self, run: agl.Run) -> None:
        """One round, then no further."""
        await super().run(run)
        raise Fell


def rows(log: str, sql: str) -> list[Any]:
    """What the log says."""
    with agl.open_log(log, readonly=True) as found:
        return list(found.rows(sql))


def looks(log: str) -> list[dict[str, Any]]:
    """What the log says of pre-flight."""
    with agl.open_log(log, readonly=True) as found:
        steps = [record.event for record in found.read(types=["step.recorded"])]
    return [step.result for step in steps if step.label == "preflight"]


# --- what it costs, and what is left of it


def test_the_others_begin_when_the_first_has_ended(trainer, log):
    """And it is one of them: as many rollouts as the algorithm asked for, in one group."""
    trainer().fit(sound, TASKS)

    (ended,) = rows(log, "select min(position) from events where type = 'attempt.finished'")[0]
    begun = rows(log, "select position from events where type = 'attempt.started' order by position limit 2")
    assert begun[0] < (ended,) < begun[1]
    assert rows(log, "select count(*), count(distinct grp), min(status) from rollouts") == [(6, 1, "succeeded")]


def test_what_came_of_it_is_a_fact_of_the_run(trainer, log):
    """Which rollout, what was needed, what was found."""
    trainer().fit(sound, TASKS)

    (look,) = looks(log)
    assert look["rollout_id"] in {rollout_id for (rollout_id,) in rows(log, "select rollout_id from rollouts")}
    assert look["found"] == []
    assert look["needs"] == sorted(Learner().needs)


def test_a_share_counts_the_first_rollout_too(trainer, log):
    """`max_rollouts` is of each runner, whichever went ahead."""
    summary = trainer(n_runners=2, max_rollouts=4).fit(sound, TASKS)

    assert summary.status == "finished"
    taken = dict(rows(log, "select worker_id, count(*) from attempts group by worker_id"))
    assert sum(taken.values()) == 6
    assert max(taken.values()) <= 4


# --- resume


def test_a_run_that_was_looked_at_is_not_looked_at_again(trainer, log):
    """Also not when the agent has become worse: what was found out is recorded."""
    with pytest.raises(Fell):
        trainer(Stumbling()).fit(sound, TASKS)
    ((run_id,),) = rows(log, "select run_id from runs")

    summary = trainer(Learner(Settings(rounds=2))).fit(mute, resume=run_id)

    assert summary.status == "finished"
    assert len(looks(log)) == 1


def test_a_run_that_was_stopped_is_looked_at_when_it_goes_on(trainer, log):
    """The agent was mended: its next attempt shows it."""
    with pytest.raises(CaptureNone):
        trainer().fit(mute, TASKS)
    ((run_id,),) = rows(log, "select run_id from runs")
    assert looks(log) == []

    with pytest.raises(CaptureNone):
        trainer().fit(mute, resume=run_id)
    summary = trainer().fit(sound, resume=run_id)

    assert summary.status == "finished"
    assert len(looks(log)) == 1
    assert rows(log, "select count(*) from rollouts") == [(6,)]


def test_a_run_that_was_not_to_be_looked_at_is_not_when_it_goes_on(trainer, log):
    """The log says that somebody said so."""
    with pytest.raises(Fell):
        trainer(Stumbling(), preflight=False).fit(mute, TASKS)
    ((run_id,),) = rows(log, "select run_id from runs")

    summary = trainer(Learner(Settings(rounds=2))).fit(mute, resume=run_id)

    assert summary.status == "finished"
    assert [look["skipped"] for look in looks(log)] == [True]


PROGRAM = """
    import os
    import sys
    from pathlib import Path

    import agl_core as agl
    from agl_core.trainer import Trainer, resume


    class Learner:
        name = "learner"
        needs = ("rewards",)

        async def run(self, run):
            await run.rollouts(run.train, repeat=2)


    @agl.rollout
    async def agent(task):
        if not Path("died").exists():
            Path("died").touch()
            os._exit(9)
        return float(task["n"])


    if __name__ == "__main__":
        import program

        trainer = Trainer(algorithm=program.Learner(), store="log.db", n_runners=4)
        trainer.fit(program.agent, [{"n": 0}, {"n": 1}], run_id="run-1")
"""


def test_a_process_that_dies_in_its_first_rollout_is_looked_at_when_it_goes_on(tmp_path):
    """`agl resume` finds the rollout unsettled, runs it first, and then the others."""
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    environment = {**os.environ, "AGL_LOAD_PLUGINS": ""}

    died = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, env=environment, check=False, timeout=60)
    command = [sys.executable, "-m", "agl_core.cli", "resume", "run-1", "--log", "log.db", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert died.returncode == 9
    assert done.returncode == 0, done.stderr
    log = str(tmp_path / "log.db")
    assert len(looks(log)) == 1
    assert rows(log, "select status, count(*) from rollouts group by status") == [("succeeded", 4)]


# --- who is looked at, and how to go on without


def test_to_warn_is_to_go_on(trainer, log, caplog):
    """The log has the codes, and so has stderr."""
    with caplog.at_level(logging.WARNING):
        summary = trainer(preflight="warn").fit(mute, TASKS, val_dataset=TASKS[:1])

    assert summary.status == "finished"
    assert {"[SPLITS_OVERLAP]", "[CAPTURE_NONE]"} <= {record.message.partition(" ")[0] for record in caplog.records}
    assert [look["found"] for look in looks(log)] == [["CAPTURE_NONE"]]


@pytest.mark.parametrize("value", ["0", "off", "warn"])
def test_the_environment_may_say_so_too(trainer, monkeypatch, value):
    """For programs that were not written by whoever runs them."""
    monkeypatch.setenv("AGL_PREFLIGHT", value)

    assert trainer().fit(mute, TASKS).status == "finished"


def test_what_means_nothing_is_refused(trainer, monkeypatch):
    """A misspelt `no` would be a yes."""
    with pytest.raises(BadValue, match="True, False"):
        trainer(preflight="never")
    monkeypatch.setenv("AGL_PREFLIGHT", "nope")
    with pytest.raises(BadValue, match="0, 1 or warn"):
        trainer()


def test_an_algorithm_that_does_not_say_what_it_needs_is_looked_at_when_asked_for(trainer):
    """Calls and rewards are what all of them need."""
    assert trainer(Learner(needs=())).fit(mute, TASKS).status == "finished"

    with pytest.raises(CaptureNone):
        trainer(Learner(needs=()), preflight=True).fit(mute, TASKS)


def test_what_learns_nothing_needs_nothing(trainer, log):
    """Neither the baseline, nor an algorithm that works on the store directly."""

    @agl.algo
    async def direct(store: agl.Store, train_dataset: Any) -> None:
        rollouts = await store.enqueue_many_rollouts([agl.EnqueueRolloutRequest(input=task) for task in train_dataset])
        await store.wait_for_rollouts(rollout_ids=[rollout.rollout_id for rollout in rollouts], timeout=30)

    assert trainer("baseline").fit(mute, TASKS).status == "finished"
    assert trainer(direct, preflight=True).fit(mute, TASKS).status == "finished"
    assert looks(log) == []


def test_a_need_that_nobody_knows_is_refused(trainer):
    """With those there are."""
    with pytest.raises(BadValue, match="token_ids"):
        trainer(Learner(needs=("tokens",))).fit(sound, TASKS)


# --- one failure


def test_one_failed_attempt_is_bad_luck(trainer, log):
    """The next one is looked at, and passes."""
    failed: list[Any] = []

    @agl.rollout
    async def stumbles(task: Any, llm: agl.LLM) -> float:
        if not failed:
            failed.append(task)
            raise ConnectionError("just this once")
        await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)
        return float(task["n"])

    summary = trainer().fit(stumbles, TASKS)

    assert summary.status == "finished"
    assert [look["found"] for look in looks(log)] == [[]]


def test_rewards_that_are_all_the_same_are_warned_of_while_the_run_goes_on(trainer, caplog):
    """One rollout cannot show it; the first few of a run can."""

    @agl.rollout
    async def always_half(task: Any, llm: agl.LLM) -> float:
        await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)
        return 0.5

    with caplog.at_level(logging.WARNING):
        trainer(Learner(Settings(group_size=4)), n_runners=1).fit(always_half, TASKS)

    (told,) = (record.message for record in caplog.records if "REWARD_CONSTANT" in record.message)
    assert "reward 0.5" in told


# --- the command line


def test_train_says_it_in_a_line_and_can_be_told_not_to_look(tmp_path):
    """Exit status 1, the code, the page; `--no-preflight` goes on."""
    (tmp_path / "tasks.jsonl").write_text("\n".join(map(json.dumps, TASKS)))
    (tmp_path / "things.py").write_text(
        textwrap.dedent(
            """
            import agl_core as agl


            class Learner:
                name = "learner"
                needs = ("calls", "rewards")

                async def run(self, run):
                    await run.rollouts(run.train)


            @agl.rollout
            async def mute(task):
                return float(task["n"])
            """
        )
    )
    train = [sys.executable, "-m", "agl_core.cli", "train", "things:mute", "--algorithm", "things:Learner"]
    options = ["--train", "tasks.jsonl", "--log", "log.db", "--quiet"]
    environment = {**os.environ, "AGL_LOAD_PLUGINS": "", "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}

    stopped, passed = (
        subprocess.run(
            [*train, *options, *more], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
            timeout=60,
        )
        for more in ([], ["--no-preflight"])
    )  # fmt: skip

    assert stopped.returncode == 1
    assert "error[CAPTURE_NONE]:" in stopped.stderr
    assert "see docs/how-to/cures/capture-none.md" in stopped.stderr
    assert "--no-preflight" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert passed.returncode == 0, passed.stderr
