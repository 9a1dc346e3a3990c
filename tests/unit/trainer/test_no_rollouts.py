"""A run that is to hand out no rollout: it hands out none, whatever its algorithm tries."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as cli
from agl_core.errors import BadValue, NotOffline, RolloutsForbidden
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.trainer import resume


async def _by_rollouts(run):
    await run.rollouts([1, 2])


async def _by_bundle(run):
    await run.rollouts([1], resources={"prompt": agl.PromptTemplate(template="Go.")})


async def _by_flight(run):
    await run.flight().launch([1])


async def _by_enqueuing(run):
    await run.store.enqueue_rollout(1)


async def _by_starting(run):
    await run.store.start_rollout(1)


async def _by_scope(run):
    await run.scope("child").rollouts([1])


async def _not_at_all(run):
    run.result["read"] = await run.step("read", str, "a log")


WAYS = {
    way.__name__: way
    for way in (_by_rollouts, _by_bundle, _by_flight, _by_enqueuing, _by_starting, _by_scope, _not_at_all)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TriesConfig:
    """How it tries."""

    way: str = "_not_at_all"


class Tries:
    """Says that it needs no tasks, and asks for rollouts in its way."""

    name = "tries"
    needs_tasks = False

    def __init__(self, config: TriesConfig | None = None, **overrides):
        self.config = config or TriesConfig(**overrides)

    async def run(self, run):
        """Try."""
        await WAYS[self.config.way](run)


@agl.rollout
def agent(task):
    """Would do it."""
    return 1.0


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@pytest.fixture
def path(tmp_path):
    """Of the log."""
    return tmp_path / "log.db"


def fit(path, algorithm, *arguments, **splits):
    """A run that may hand out nothing."""
    return agl.Trainer(algorithm=algorithm, store=str(path), no_rollouts=True).fit(*arguments, **splits)


def rollouts(path):
    """How many the log has."""
    with SqliteLog(path, projections=CORE, readonly=True) as log:
        return log.rows("select count(*) from rollouts")[0][0]


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"_not_at_all"}))
def test_who_tries_is_stopped_before_anything_is_enqueued(path, way):
    """By whatever way a run offers, the store among them; the run says why it failed."""
    with pytest.raises(RolloutsForbidden):
        fit(path, Tries(way=way), agent)

    assert rollouts(path) == 0
    with SqliteLog(path, projections=CORE, readonly=True) as log:
        (failed,) = [record.event for record in log.read(types=["run.failed"])]
    assert failed.code == "ROLLOUTS_FORBIDDEN"


def test_the_same_ways_lead_somewhere_without_it(path):
    """It is the option that stops them."""
    agl.Trainer(algorithm=Tries(way="_by_rollouts"), store=str(path)).fit(agent, [3])

    assert rollouts(path) == 2


def test_resumed_it_still_hands_out_none(path, monkeypatch):
    """What was promised when the run began holds for all its lives."""

    async def killed(_run):
        raise KeyError("gone")

    with monkeypatch.context() as patch:
        patch.setitem(WAYS, "_by_rollouts", killed)
        with pytest.raises(KeyError):
            fit(path, Tries(way="_by_rollouts"), agent, run_id="run-1")

    with pytest.raises(RolloutsForbidden):
        resume("run-1", log=str(path))

    assert rollouts(path) == 0


def test_an_algorithm_that_samples_is_refused_ahead(path):
    """By a code, with the names of those that have another way; nothing is left."""
    with pytest.raises(NotOffline, match=r"^baseline cannot learn from a log alone: it learns from rollouts"):
        fit(path, "baseline", agent, [1])

    assert not path.exists()


def test_tasks_are_refused_where_nobody_would_do_them(path):
    """They would be sealed, validated on and forgotten without a word."""
    with pytest.raises(BadValue, match="nobody would do these tasks"):
        fit(path, Tries(), agent, test_dataset=[1])

    assert not path.exists()


def test_the_log_that_is_written_is_not_learnt_from(path, tmp_path):
    """Another one is; an algorithm is handed it for reading alone."""

    async def reads(run):
        with run.other_log(str(tmp_path / "other.db")) as log:
            run.result["head"] = log.head()
        with pytest.raises(BadValue, match="this run writes to it"):
            run.other_log(str(path))

    with SqliteLog(tmp_path / "other.db", projections=CORE):
        pass
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WAYS, "_not_at_all", reads)
        summary = fit(path, Tries(), None)

    assert summary.result["head"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-rollouts"], "cannot learn from a log alone"),
        (["--from-log", "other.db"], "NOT_OFFLINE"),
    ],
)
def test_the_command_line_refuses_the_same(tmp_path, monkeypatch, arguments, said):
    """An algorithm that has no word for a log, told of one, says so by the same code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.db").touch()

    done = CliRunner().invoke(cli, ["train", f"{__name__}:agent", "--algorithm", "baseline", *arguments, "--json"])

    assert (done.exit_code, said in done.output) == (1, True), done.output
