"""`agl export FORMAT` on the log of a real run: nothing of it is lost or made up, whatever the log lies in."""

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
from click.testing import CliRunner

from agl_core.cli import agl
from agl_core.log import SqliteLog

from ._exporting import REPEAT, TASKS, make_log, written

pytest.importorskip("agl_messages")
pytest.importorskip("agl_triplets")

ROLLOUTS = len(TASKS) * REPEAT


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A run of an agent that uses a tool."""
    return make_log(tmp_path_factory.mktemp("exporting") / "log.db")


@pytest.fixture
def export(log, tmp_path):
    """`agl export`, to a place of that name; what came of it."""

    def run(kind, name, *options, source=log):
        return CliRunner().invoke(
            agl, ["export", kind, "--log", str(source), "--out", str(tmp_path / name), "--json", *options]
        )

    return run


def test_every_answer_of_the_run_is_in_a_transcript(export, log, tmp_path):
    """And none of the validation tasks, which are there to measure on."""
    done = export("jsonl", "rows.jsonl")

    rows = written(tmp_path / "rows.jsonl")
    with SqliteLog(log, readonly=True) as opened:
        asked = opened.rows(
            "select call_id from calls join rollouts using (rollout_id) where role = 'policy' and mode = 'train'"
        )
    assert done.exit_code == 0, done.output
    assert sorted(id_ for row in rows for id_ in row["call_ids"]) == sorted(id_ for (id_,) in asked)
    assert all(
        [one["role"] for one in row["messages"]] == ["system", "user", "assistant", "tool", "assistant"] for row in rows
    )
    assert all(row["trained"] == [False, False, True, False, True] for row in rows)
    assert Counter(row["reward"] for row in rows) == {1.0: ROLLOUTS - ROLLOUTS // 3, 0.0: ROLLOUTS // 3}


def test_the_best_of_each_task_are_what_rejection_sampling_keeps(export, tmp_path):
    """One rollout a task, and it was right."""
    done = export("openai-sft", "rows.jsonl", "--best-of", "1", "--at-least", "1")

    lines = written(tmp_path / "rows.jsonl")
    assert done.exit_code == 0, done.output
    assert len(lines) == len(TASKS)
    assert {line["messages"][1]["content"] for line in lines} == {task["question"] for task in TASKS}
    assert all(line["messages"][-1]["content"].startswith("It is ") for line in lines)


@pytest.mark.parametrize("suffix", ["db", "jsonl", "parquet", "duckdb"])
def test_from_an_export_of_the_log_the_same_rows_come(export, log, tmp_path, suffix):
    """Byte for byte: an archive is a log."""
    copy = tmp_path / f"copy.{suffix}"
    assert CliRunner().invoke(agl, ["log", "export", str(copy), "--log", str(log)]).exit_code == 0

    for kind, options in [("openai-sft", ()), ("trl", ("--shape", "tokens")), ("openai-dpo", ())]:
        assert export(kind, "one.jsonl", *options, "--force").exit_code == 0
        assert export(kind, "two.jsonl", *options, "--force", source=copy).exit_code == 0
        assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_a_rollout_that_was_erased_is_in_no_row(export, log, tmp_path):
    """The others are there."""
    copy = tmp_path / "copy.db"
    with SqliteLog(log, readonly=True) as opened:
        ((erased,),) = opened.rows("select rollout_id from rollouts where mode = 'train' order by position limit 1")
    erasing = ["log", "copy", str(log), str(copy), "--erase", f"rollout/{erased}"]
    assert CliRunner().invoke(agl, erasing).exit_code == 0

    done = export("jsonl", "rows.jsonl", source=copy)

    assert done.exit_code == 0, done.output
    assert len(written(tmp_path / "rows.jsonl")) == ROLLOUTS - 1


SLOW_EXPORTER = """
from dataclasses import dataclass
from typing import Any, ClassVar
import signal
from agl_core.export.rows import write_records
from agl_core.hookspecs import hookimpl

@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    name: ClassVar[str] = "slow"
    help: ClassVar[str] = "Never ends."
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".parquet")
    adapter: ClassVar[str] = "messages"
    options: ClassVar[dict[str, Any]] = {}

    def write(self, rows, path):
        def records():
            for row in rows:
                yield {"id": row.rollout_id}
                print("one", flush=True)
            signal.pause()
        return write_records(records(), path)

@hookimpl
def agl_register_exporters():
    return {"slow": Slow}
"""


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_of_an_export_that_is_interrupted_nothing_is_left(log, tmp_path, suffix):
    """Ctrl-C in the middle of it: no file, no half of one, nothing hidden, and the shell's own exit code."""
    (tmp_path / "agl_slow.py").write_text(SLOW_EXPORTER)
    info = tmp_path / "agl_slow-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: agl-slow\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[agl]\nslow = agl_slow\n")
    out = tmp_path / "out"
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))

    asked = ["export", "slow", "--log", str(log), "--out", str(out / f"rows.{suffix}")]
    # Whoever is started in the background by a shell has Ctrl-C ignored, and so have its children.
    hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{hears}; from agl_core.cli import main; main()", *asked],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert list(out.iterdir()) == []
