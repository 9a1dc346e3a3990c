"""Tasks that a command is given: from files of every kind, and dealt out into splits."""

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.cli._datasets import read_tasks
from agl_core.errors import NoTrainingData

AGENT = """
import agl_core as agl

@agl.rollout
def solve(task):
    return float(task["q"])
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Type a command line in a folder with an agent."""
    (tmp_path / "datasets_agent.py").write_text(AGENT)
    (tmp_path / "tasks.jsonl").write_text("".join(f'{{"q": {number}}}\n' for number in range(40)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("AGL_LOG", raising=False)
    return lambda *arguments: CliRunner().invoke(command, [*arguments, "--log", "log.db"])


def inputs(mode=None):
    """What was handed out, by mode."""
    with agl.open_log("log.db", readonly=True) as log:
        events = [record.event for record in log.read(types=["rollout.enqueued"])]
    return [event.input["q"] for event in events if mode in {None, event.mode}]


@pytest.mark.parametrize("name", ["tasks.csv", "tasks.parquet", "many/*.json"])
def test_an_agent_runs_over_tasks_of_every_kind(run, tmp_path, name):
    """By the name of the file, or by a pattern of names."""
    import duckdb

    (tmp_path / "many").mkdir()
    (tmp_path / "many/one.json").write_text('[{"q": 1}]')
    (tmp_path / "many/two.json").write_text('[{"q": 2}]')
    (tmp_path / "tasks.csv").write_text("q\n1\n2\n")
    with duckdb.connect() as db:
        db.execute("copy (select unnest([1, 2]) as q) to 'tasks.parquet'")

    done = run("run", "datasets_agent:solve", "--tasks", name)

    assert done.exit_code == 0, done.output
    assert inputs() == [1, 2]


def test_a_file_is_dealt_out_into_splits_and_their_sizes_are_said(run):
    """On stderr: stdout is data."""
    shares = agl.split_dataset("tasks.jsonl", train=0.6, val=0.4, test=0)

    done = run(
        "train", "datasets_agent:solve", "--algorithm", "baseline", "--train", "tasks.jsonl", "--split", "0.6,0.4,0"
    )

    assert done.exit_code == 0, done.output
    assert f"tasks.jsonl is split: {len(shares.train)} train, {len(shares.val)} val, 0 test" in done.stderr
    assert inputs("train") == [task["q"] for task in shares.train]
    assert inputs("val") == [task["q"] for task in shares.val]


@pytest.mark.parametrize(
    ("options", "exit_code", "why"),
    [
        (["--train", "none.csv"], 2, "no such file"),
        (["--train", "tasks.jsonl", "--split", "0.5,0.5"], 1, "TRAIN,VAL,TEST"),
        (["--train", "tasks.jsonl", "--split", "much,more,most"], 1, "TRAIN,VAL,TEST"),
        (["--train", "tasks.jsonl", "--split", "0.5,0.4,0.3"], 1, "together they are 1"),
        (["--train", "tasks.jsonl", "--split", "1,0,0", "--val", "tasks.jsonl"], 2, "leave --val and --test out"),
        (["--train", "tasks.jsonl", "--val", "tasks.jsonl"], 1, "train and val share 40 task(s)"),
        (["--train", "bad.csv"], 1, "Line: 2"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else str(value),
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(run, tmp_path, options, exit_code, why):
    """Before the run begins."""
    (tmp_path / "bad.csv").write_text("a,b\n1\n")

    done = run("train", "datasets_agent:solve", "--algorithm", "baseline", *options)

    assert done.exit_code == exit_code
    assert why in done.stderr
    assert not (tmp_path / "log.db").exists()


@pytest.mark.parametrize("text", ["", "\n \n"])
@pytest.mark.parametrize("name", ["tasks.jsonl", "tasks.json", "tasks.csv"])
def test_an_empty_file_has_no_tasks(tmp_path, name, text):
    """It would train on nothing."""
    (tmp_path / name).write_text(text if name != "tasks.csv" else "q\n")

    with pytest.raises(NoTrainingData):
        read_tasks(tmp_path / name)
