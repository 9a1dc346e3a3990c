"""An algorithm of today on a recorded run: every movement is found in the log, and nothing is carried out."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.algorithm import StopEarly
from agl_core.cli._main import agl as command
from agl_core.errors import NotReplayable, RunNotImportable, UnknownName
from agl_core.events import RunFailed
from agl_core.export import export_log
from agl_core.log import SqliteLog
from agl_core.record import Draft
from agl_core.testing import ScriptedModel
from agl_core.testing._algorithm_images import copied
from agl_core.testing._algorithm_lives import Lives
from agl_core.trainer import Trainer, check_history

CARRIED_OUT: list[str] = []
"""Effects and rollouts."""


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@agl.rollout
def agent(task: Any) -> float:
    """Earns by the task alone."""
    CARRIED_OUT.append("rollout")
    return task["n"] / 10


def best_of(rewards: list[float]) -> float:
    """An effect."""
    CARRIED_OUT.append("step")
    return max(rewards)


class Picks:
    """Every kind of movement but those of weights; in two scopes at once."""

    name = "picks"
    rounds = 2
    label = "try"

    async def run(self, run: agl.Run) -> None:
        """A round is two branches beside each other."""
        best = 0.0
        for step in range(self.rounds):
            if not await run.goes_on():
                break
            earned = await asyncio.gather(*(self.branch(run.scope(f"{side}{step}"), side) for side in "ab"))
            await run.now()
            best = await run.step("best", best_of, [best, *earned])
            run.log(step=step, best=best, **{"val/reward": 1.0})
        bundle = await run.publish({"prompt": agl.PromptTemplate(template=f"best {best} {run.new_id('p')}")})
        await run.promote(bundle)
        await run.examine(before=bundle, after=bundle)
        self.finish(run, best)

    async def branch(self, run: agl.Run, side: str) -> float:
        """The reward of a task by chance."""
        said = await run.ask("critic", [{"role": "user", "content": side}])
        flight = run.flight(self.label)
        await flight.launch(run.rng("tasks").sample(run.train, 2))
        (landed, _) = [(await flight.landed(1))[0] for _ in range(2)]
        return float(landed.outcomes[0].reward or 0.0) + len(said.text)

    def finish(self, run: agl.Run, best: float) -> None:
        """What it came to."""
        run.result["best"] = best


class Renamed(Picks):
    """Its label is another."""

    label = "look"


class Shorter(Picks):
    """It has a round less."""

    rounds = 1


class Otherwise(Picks):
    """Its end is another."""

    def finish(self, run: agl.Run, best: float) -> None:
        """More than there was."""
        run.result["best"] = best + 1


class Raising(Picks):
    """It has none."""

    def finish(self, run: agl.Run, best: float) -> None:
        """Nothing to say."""
        raise ZeroDivisionError


TASKS = {"train": [{"n": n} for n in range(4)], "test": [{"n": 9}]}


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """A run of it, with images of what it would have left had it been killed."""
    with pytest.MonkeyPatch.context() as patch, ScriptedModel("yes") as model:
        patch.setenv("AGL_LOAD_PLUGINS", "")
        options = {
            "models": {"critic": f"{model.url}#policy"},
            "preflight": False,
            "reactions": [StopEarly(patience=5), StopEarly(patience=1, metric="val/reward")],
        }
        found = Lives(Picks, agent, TASKS, options, tmp_path_factory.mktemp("lives"))
        found.images()
        yield found


@pytest.fixture
def source(lives):
    """Its log."""
    CARRIED_OUT.clear()
    return lives.whole().path


@pytest.fixture
def offline(monkeypatch):
    """No socket is opened."""

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("a history needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)


def stamps(folder: Path) -> dict[Path, int]:
    """When each file was written to; `-shm` is memory that SQLite's readers share."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if not path.name.endswith("-shm")}


@pytest.mark.usefixtures("offline")
def test_nothing_is_carried_out_and_nothing_is_written(source):
    """No rollout, no effect, no call, no byte beside the log or in it."""
    before = stamps(source.parent)

    (checked,) = check_history(source)

    assert (checked.outcome, checked.error, checked.unlogged) == ("same", None, 0)
    assert checked.movements > 20
    assert CARRIED_OUT == []
    assert stamps(source.parent) == before


@pytest.mark.parametrize("zipped", [False, True])
def test_an_export_is_a_history_too(source, tmp_path, zipped):
    """As it comes, and zipped as one commits it."""
    path = tmp_path / "history.jsonl"
    with agl.open_log(str(source), readonly=True) as log:
        export_log(log, path)
    if zipped:
        plain, path = path, tmp_path / "history.jsonl.gz"
        path.write_bytes(gzip.compress(plain.read_bytes()))

    (checked,) = check_history(path)

    assert checked.outcome == "same"


def test_a_history_that_was_cut_goes_as_far_as_it_goes(lives):
    """Wherever it was killed, and whatever ran beside: no image of it diverges, and each says where it goes on."""
    images = lives.images()

    found = [check_history(image.path)[0] for image in images[:: max(1, len(images) // 5)]]

    assert {checked.outcome for checked in found} == {"goes_on"}
    assert [checked.movements for checked in found] == sorted(checked.movements for checked in found)
    assert all(checked.goes_on_at for checked in found)
    assert "test_check.py" in found[0].where


@pytest.mark.parametrize(
    ("other", "key", "said"),
    [
        (Renamed, "/launch/look/0", "the code now asks for launch 'look' number 1"),
        (Shorter, "/goes_on/goes_on/1", "the code now asks for nothing more"),
        (Otherwise, "/finished", "best was"),
        (Raising, "run-contract", "raises ZeroDivisionError"),
    ],
)
def test_an_algorithm_that_is_another_diverges(source, other, key, said):
    """Where it asks for what was not done, does not ask for what was, comes to another end, or to none."""
    (checked,) = check_history(source, algorithm=other())

    assert checked.outcome == "diverged"
    assert checked.error is not None
    assert checked.error.key.endswith(key)
    assert said in str(checked.error)
    assert CARRIED_OUT == []


def test_one_that_was_cut_diverges_where_it_did_something_else(lives):
    """What the log still has is not asked for: that is no end of it."""
    image = lives.images()[len(lives.images()) // 2]

    (checked,) = check_history(image.path, algorithm=Renamed())

    assert checked.outcome == "diverged"
    assert checked.error is not None
    assert "look" in str(checked.error)


def test_a_reaction_that_decides_otherwise_diverges(source, monkeypatch):
    """It asked for the run to stop when nothing was gained once; today it is more patient."""
    monkeypatch.setattr(StopEarly, "decide", lambda _self, _state, _record: ())

    (checked,) = check_history(source)

    assert checked.outcome == "diverged"
    assert checked.error is not None
    assert checked.error.key.startswith("reaction/run-contract/stop_early-2/")
    assert "StopEarly.decide" in str(checked.error)


def test_a_reaction_that_decides_more_diverges(source, monkeypatch):
    """It asks for a stop where it did not."""
    patient = StopEarly.decide

    def hasty(self: StopEarly, state: Any, record: Any) -> Any:
        return patient(replace(self, patience=1), replace(state, since=9), record)

    monkeypatch.setattr(StopEarly, "decide", hasty)

    (checked,) = check_history(source)

    assert checked.outcome == "diverged"
    assert checked.error is not None
    assert checked.error.recorded == "nothing"


class Fails:
    """Comes to an end that is none."""

    name = "fails"

    async def run(self, run: agl.Run) -> None:
        """After a round of it."""
        await run.rollouts(run.train)
        raise LookupError("as ever")


class Needy(Fails):
    """Needs what is not installed."""

    async def run(self, run: agl.Run) -> None:
        """An adapter, first of all."""
        run.adapter("nobody's")


class Mends(Fails):
    """Does something else than fail."""

    async def run(self, run: agl.Run) -> None:
        """And goes on."""
        await run.rollouts(run.train)
        await run.step("more", best_of, [1.0])


def test_a_run_that_failed_fails_the_same(tmp_path):
    """With the same code; and code that was mended goes on from there."""
    path = tmp_path / "log.db"
    with pytest.raises(LookupError):
        Trainer(algorithm=Fails(), store=str(path), preflight=False).fit(agent, TASKS["train"], run_id="run-1")

    (same,), (mended,) = check_history(path), check_history(path, algorithm=Mends())

    assert (same.outcome, same.goes_on_at) == ("same", None)
    assert (mended.outcome, mended.goes_on_at) == ("goes_on", "run-1/main/step/more/0")
    assert "in Mends.run" in mended.where


def test_two_runs_of_a_log_are_told_apart_and_what_is_missing_by_its_own_code(tmp_path):
    """A plugin that is not there is no divergence."""
    path = tmp_path / "log.db"
    for run_id in ("run-1", "run-2"):
        with pytest.raises(LookupError):
            Trainer(algorithm=Fails(), store=str(path), preflight=False).fit(agent, TASKS["train"], run_id=run_id)

    both = check_history(path)

    assert [(checked.run_id, checked.outcome) for checked in both] == [("run-1", "same"), ("run-2", "same")]
    assert [checked.run_id for checked in check_history(path, run_id="run-2")] == ["run-2"]
    with pytest.raises(UnknownName, match="nobody"):
        check_history(path, algorithm=Needy())


def test_metrics_of_today_are_counted_and_not_compared(source, monkeypatch):
    """A number more for people is no divergence."""
    logs = agl.Run.log

    def more(run: agl.Run, *, step: int, **metrics: float) -> None:
        logs(run, step=step, **metrics, another=1.0)

    monkeypatch.setattr(agl.Run, "log", more)

    (checked,) = check_history(source)

    assert (checked.outcome, checked.unlogged) == ("same", 2)


def test_what_cannot_be_gone_through_is_told(tmp_path, source):
    """No run; a run whose algorithm has no name; one that worked on the store itself."""
    empty, local, legacy = (tmp_path / f"{name}.db" for name in ("empty", "local", "legacy"))
    SqliteLog(empty).close()

    class Local(Fails):
        pass

    with pytest.raises(LookupError):
        Trainer(algorithm=Local(), store=str(local), preflight=False).fit(agent, TASKS["train"])
    Trainer(algorithm=agl.algo(_on_the_store), store=str(legacy)).fit(agent, TASKS["train"])

    with pytest.raises(NotReplayable, match="no run"):
        check_history(empty)
    with pytest.raises(RunNotImportable, match="Local"):
        check_history(local)
    with pytest.raises(NotReplayable, match="works on the store directly"):
        check_history(legacy)


def _on_the_store(store: Any, train_dataset: Any) -> None:
    """As in v0.3."""


def test_the_command_says_what_came_of_each(source, tmp_path, monkeypatch):
    """A line each; as JSON with both sides; exit code 1 when one diverges, or is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jsonl").write_text("nothing\n")

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(command, ["replay", "--check", *map(str, arguments)])

    good, broken = run(source), run(source, tmp_path, "--json")
    monkeypatch.setattr(Picks, "rounds", 1)
    other = run(source, "--json")

    assert (good.exit_code, broken.exit_code, other.exit_code) == (0, 1, 1)
    assert good.stdout.startswith("same      ")
    assert [one["outcome"] for one in json.loads(broken.stdout)["histories"]] == ["same", "unread"]
    (told,) = json.loads(other.stdout)["histories"]
    assert (told["outcome"], told["error"]["code"]) == ("diverged", "REPLAY_DIVERGED")


def test_a_run_that_was_interrupted_goes_on(lives, tmp_path):
    """That it says so at the end of its log is no end of it."""
    path = tmp_path / "log.jsonl"
    with agl.open_log(str(copied(lives.images()[-1], tmp_path / "log.db"))) as log:
        failed = RunFailed(run_id="run-contract", code="INTERRUPTED", why="by hand")
        log.append([Draft(stream="run/run-contract", event=failed)])
        export_log(log, path)

    (checked,) = check_history(path)

    assert (checked.outcome, checked.goes_on_at) == ("goes_on", "its end")
