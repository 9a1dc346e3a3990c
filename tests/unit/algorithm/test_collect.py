"""Rollouts that are collected to be learnt from later: groups, as an algorithm would have had them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.algorithm import Collect
from agl_core.cli import agl as command
from agl_core.errors import BadValue
from agl_core.trainer import resume


@agl.rollout
def scored(task):
    """Earns a half, or knows no answer."""
    if task["q"] == "bad":
        raise LookupError("no such page")
    return 0.5


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch, tmp_path):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tasks(tmp_path):
    """A file of two."""
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"q": 1}\n{"q": 2}\n')
    return path


def enqueued(path):
    """What was handed out."""
    with agl.open_log(str(path), readonly=True) as log:
        return [record.event for record in log.read(types=["rollout.enqueued"])]


def test_no_train_collects_a_group_of_each_task(tasks, tmp_path):
    """`--repeat` samples of it, of mode train, in one call, at a temperature that explores; nothing is learnt."""
    words = ["run", f"{__name__}:scored", "--tasks", str(tasks), "--no-train", "--repeat", "3", "--log", "log.db"]

    done = CliRunner().invoke(command, [*words, "--quiet", "--json"])

    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)["result"]
    assert (result["rollouts"], result["groups"], result["scored"]) == (6, 2, 6)
    handed = enqueued("log.db")
    assert {one.mode for one in handed} == {"train"}
    assert {one.metadata["sampling"]["temperature"] for one in handed} == {1.0}
    assert len({one.group for one in handed}) == 1
    assert [(one.input["q"], one.repeat) for one in handed] == [(q, n) for q in (1, 2) for n in range(3)]


def test_without_it_repeats_are_no_group(tasks):
    """They are rounds of the same tasks, each by itself: what a baseline is measured by."""
    words = ["run", f"{__name__}:scored", "--tasks", str(tasks), "--repeat", "2", "--log", "log.db", "--quiet"]

    done = CliRunner().invoke(command, words)

    assert done.exit_code == 0, done.output
    assert [one.repeat for one in enqueued("log.db")] == [0, 0, 0, 0]


def test_what_fails_is_counted_and_kept(tmp_path):
    """A failed rollout is a fact like any other, and no zero."""
    trainer = agl.Trainer(
        algorithm=Collect(samples=2), store="log.db", rollout_config=agl.RolloutConfig(max_attempts=1)
    )

    result = trainer.fit(scored, [{"q": "bad"}, {"q": 1}]).result

    assert (result["rollouts"], result["scored"]) == (4, 2)


def test_it_is_resumed_by_its_name(tasks, monkeypatch):
    """Rollouts that are there are not collected again."""

    async def killed(self, run):
        await run.rollouts(run.train, repeat=2, label="train", sampling={"temperature": 1.0})
        raise KeyError("gone")

    trainer = agl.Trainer(algorithm=Collect(samples=2), store="log.db")
    with monkeypatch.context() as patch:
        patch.setattr(Collect, "run", killed)
        with pytest.raises(KeyError):
            trainer.fit(scored, [{"q": 1}], run_id="run-1")

    assert resume("run-1", log="log.db").result["rollouts"] == 2
    assert len(enqueued("log.db")) == 2


@pytest.mark.parametrize("config", [{"samples": 0}, {"temperature": -1.0}, {"temperature": float("nan")}])
def test_what_makes_no_group_is_refused(config):
    """With what it must be."""
    with pytest.raises(BadValue):
        Collect(**config)
