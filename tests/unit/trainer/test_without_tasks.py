"""Algorithms that learn from something else than rollouts of training tasks."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as cli
from agl_core.errors import BadValue, NoTrainingData
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.trainer import resume


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderConfig:
    """What it reads."""

    from_log: str | None = None
    stumbles: bool = False


class Reader:
    """Reads a log, and says that it did."""

    name = "reader"

    def __init__(self, config: ReaderConfig | None = None, **overrides):
        self.config = config or ReaderConfig(**overrides)
        self.needs_tasks = self.config.from_log is None

    async def run(self, run):
        """Without a rollout, unless there is something to measure."""
        run.result["read"] = await run.step("read", str, self.config.from_log)
        if run.val:
            outcomes = await run.rollouts(run.val, mode="val", label="val")
            run.result["val"] = [outcome.reward for outcome in outcomes]


@agl.rollout
def agent(task):
    """Always does well."""
    return 1.0


def fit(log, *arguments, **splits):
    """A run of it."""
    return agl.Trainer(algorithm=Reader(from_log="other.db"), store=str(log)).fit(*arguments, **splits)


def test_without_tasks_nobody_is_needed_to_do_them(tmp_path):
    """No agent and no tasks; the log says as much."""
    summary = fit(tmp_path / "log.db", None)

    assert summary.result == {"read": "other.db"}
    with SqliteLog(tmp_path / "log.db", projections=CORE, readonly=True) as log:
        assert log.rows("select count(*) from rollouts") == [(0,)]
        started = log.get(summary.run_id).event
    assert started.train == ()
    assert started.agent.importable


def test_what_is_measured_wants_an_agent(tmp_path):
    """Validation tasks are done; without anybody to do them they are refused."""
    assert fit(tmp_path / "log.db", agent, val_dataset=[1, 2]).result["val"] == [1.0, 1.0]
    with pytest.raises(BadValue, match="an agent is a function"):
        fit(tmp_path / "log.db", None, val_dataset=[1, 2])


def test_an_algorithm_that_samples_wants_tasks_and_an_agent(tmp_path):
    """As ever."""
    trainer = agl.Trainer(algorithm=Reader(), store=str(tmp_path / "log.db"))

    with pytest.raises(NoTrainingData):
        trainer.fit(agent)
    with pytest.raises(BadValue, match="an agent is a function"):
        trainer.fit(None, [1])


def test_such_a_run_is_resumed_from_its_log_alone(tmp_path, monkeypatch):
    """The agent that nobody named is found again."""
    path = tmp_path / "log.db"

    async def killed(self, run):
        await run.step("read", str, self.config.from_log)
        raise KeyError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "run", killed)
        with pytest.raises(KeyError):
            fit(path, None, run_id="run-1")

    assert resume("run-1", log=str(path)).result == {"read": "other.db"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--from-log", "other.db"], 0, '"read": "other.db"'),
        ([], 2, "Missing argument 'MODULE:AGENT'"),
        ([f"{__name__}:agent"], 1, "no training tasks were given"),
        (["--from-log", "other.db", "--val", "val.jsonl"], 1, "an agent is a function"),
        (["--from-log", "gone.db"], 2, "does not exist"),
        (["--from-log", "other.db", "--dry-run"], 2, "Missing argument 'MODULE:AGENT'"),
    ],
)
def test_a_log_to_learn_from_goes_to_the_algorithm(tmp_path, monkeypatch, arguments, status, said):
    """`agl train --from-log`, where the algorithm has a word for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.db").touch()
    (tmp_path / "val.jsonl").write_text("1\n")

    done = CliRunner().invoke(cli, ["train", *arguments, "--algorithm", f"{__name__}:Reader", "--json", "--quiet"])

    assert (done.exit_code, said in done.output) == (status, True), done.output
