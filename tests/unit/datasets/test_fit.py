"""What a trainer is given to learn from: any source, checked before anything begins."""

import logging
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.errors import BadValue, SplitsOverlap

TASKS = [{"n": 1}, {"n": 2}]


@agl.rollout
def agent(task):
    """Scores itself."""
    return float(task["n"])


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """One that runs everything once."""
    monkeypatch.chdir(tmp_path)
    return lambda **given: agl.Trainer(store="log.db", **given)


def inputs(mode):
    """The tasks that were handed out in that mode."""
    with agl.open_log("log.db", readonly=True) as log:
        return [record.event.input for record in log.read(types=["rollout.enqueued"]) if record.event.mode == mode]


def test_fit_takes_frames_files_and_iterables(trainer):
    """Each mode its own kind."""
    polars = pytest.importorskip("polars")
    Path("val.csv").write_text("n\n3\n")

    trainer().fit(agent, polars.DataFrame(TASKS), val_dataset="val.csv", test_dataset=iter([{"n": 4}]))

    assert inputs("train") == TASKS
    assert inputs("val") == [{"n": 3}]


def test_fit_finds_each_split_of_a_source_that_has_some(trainer):
    """One mapping for all three."""
    splits = {"train": TASKS, "validation": [{"n": 3}], "test": [{"n": 4}]}

    trainer().fit(agent, splits, val_dataset=splits, test_dataset=splits)

    assert inputs("train") == TASKS
    assert inputs("val") == [{"n": 3}]


@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_a_value_that_json_has_not_stops_fit_before_it_begins(trainer, mode):
    """The data set, the row and the column are named; no log is made."""
    sources = {"train": [{"n": 0}], mode: [{"n": 1}, {"n": {2}}]}

    with pytest.raises(BadValue, match=f"{mode}_dataset, row 1, column 'n'"):
        trainer().fit(agent, **{f"{name}_dataset": source for name, source in sources.items()})

    assert not Path("log.db").exists()


@pytest.mark.parametrize(("first", "second"), [("train", "val"), ("train", "test"), ("val", "test")])
def test_splits_that_share_a_task_stop_fit_before_it_begins(trainer, first, second):
    """Whatever the algorithm needs; what they measure would be memory."""
    sources = {"train": [{"n": 7}], first: TASKS, second: [{"n": 2}, {"n": 3}]}

    with pytest.raises(SplitsOverlap, match=f"{first} and {second} share 1 task"):
        trainer().fit(agent, **{f"{name}_dataset": source for name, source in sources.items()})

    assert not Path("log.db").exists()


def test_splits_that_share_tasks_may_be_wanted(trainer):
    """Who says that nothing is to be looked at, gets that."""
    summary = trainer(preflight=False).fit(agent, TASKS, val_dataset=TASKS)

    assert summary.status == "finished"


def test_tasks_that_come_twice_are_counted(trainer, caplog):
    """They run: it may be what was meant."""
    with caplog.at_level(logging.WARNING):
        trainer().fit(agent, [{"n": 1}, {"n": 2}, {"n": 1}])

    assert 'train: 1 task(s) come more than once (one is {"n":1})' in caplog.text
    assert len(inputs("train")) == 3
