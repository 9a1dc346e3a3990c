"""What is wrong with a request is said in one line, with a code, and told by the exit code."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agl_core.cli import agl


@pytest.fixture
def run(tmp_path, type_in):
    """Type a command line in an empty folder."""

    def started(*arguments, **environment):
        clean = {name: value for name, value in os.environ.items() if name != "AGL_LOG"}
        return type_in(arguments, cwd=tmp_path, env={**clean, **environment})

    return started


def refused(done, code):
    """It ended with 1, said why with its code, and nothing else."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"error[{code}]: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_no_log_says_where_it_was_looked_for(run, tmp_path):
    """The place, and who chose it."""
    said = refused(run("runs", "list"), "LOG_NOT_FOUND")
    named = refused(run("runs", "list", AGL_LOG="elsewhere.db"), "LOG_NOT_FOUND")

    assert str(tmp_path / ".agl/log.db") in said
    assert "neither --log nor AGL_LOG" in said
    assert "looked there by AGL_LOG" in named
    assert not (tmp_path / ".agl").exists()


@pytest.mark.parametrize(
    "content", [b"not a database at all, and long enough to be looked at " * 40, b"SQLite format 3\0x"]
)
def test_what_is_no_log_is_refused(run, tmp_path, content):
    """Any command says so, and the file stays as it was."""
    path = tmp_path / "file.db"
    path.write_bytes(content)

    refused(run("runs", "list", "--log", path), "LOG_CORRUPT")
    refused(run("log", "verify", "--log", path), "LOG_CORRUPT")
    assert path.read_bytes() == content


def test_a_folder_is_no_log(run, tmp_path):
    """Nor is somebody else's database."""
    foreign = tmp_path / "other.db"
    with sqlite3.connect(foreign) as db:
        db.execute("create table recipes (name)")
    db.close()

    refused(run("runs", "list", "--log", tmp_path), "LOG_UNSUPPORTED")
    assert "not a log of ours" in refused(run("runs", "list", "--log", foreign), "LOG_CORRUPT")


def test_a_log_of_a_later_release_is_left_alone(run, story):
    """Its layout may mean something else."""
    with sqlite3.connect(story.path) as db:
        db.execute("pragma user_version = 999")
    db.close()

    for command in (["runs", "list"], ["log", "query", "select 1"], ["log", "rebuild"]):
        assert "upgrade agl-core" in refused(run(*command, "--log", story.path), "LOG_TOO_NEW")


@pytest.mark.parametrize("sql", ["selec", "select nope from runs", "select * from '/etc/hosts'", "delete from events"])
def test_a_bad_query_is_told_what_is_wrong(run, story, sql):
    """In the query's own words, with the way to the names."""
    assert "show tables" in refused(run("log", "query", sql, "--log", story.path), "BAD_QUERY")


def test_an_unknown_id_names_its_neighbours(run, story):
    """A typing error is one letter away."""
    typed = story.good[:-1] + ("0" if story.good[-1] != "0" else "1")

    said = refused(run("rollouts", "show", typed, "--log", story.path), "UNKNOWN_ID")

    assert story.good in said


def test_an_id_that_begins_several_is_refused(run, story):
    """Choosing one would be a guess."""
    assert story.bad in refused(run("rollouts", "show", "ro-", "--log", story.path), "BAD_VALUE")


def test_programs_get_the_error_as_json(run, story):
    """On stderr: stdout has data or nothing."""
    done = run("rollouts", "show", "ro-none", "--log", story.path, "--json")

    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr)["error"]["code"] == "UNKNOWN_ID"


def test_a_log_that_is_held_is_said_to_be_busy(ask, story, monkeypatch):
    """After waiting as long as is decent."""
    monkeypatch.setattr("agl_core.log._schema.BUSY_MS", 10)
    holder = sqlite3.connect(story.path, isolation_level=None)
    holder.execute("begin immediate")
    try:
        done = ask("log", "rebuild", "--log", story.path)
    finally:
        holder.close()

    assert done.exit_code == 1
    assert done.stderr.startswith("error[LOG_BUSY]")


def test_tables_are_not_folded_under_a_living_run(ask, held):
    """The process that drives it holds their statements."""
    done = ask("log", "rebuild", "--log", held.path)

    assert done.exit_code == 1
    assert done.stderr.startswith("error[RUN_HELD]")


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        ("delete from blobs where id = (select min(id) from blobs)", "event"),
        ("update runs set seed = 8", "projection"),
    ],
)
def test_a_log_that_lost_something_fails_its_check(ask, story, harm, what):
    """What is wrong, and where; exit code 1."""
    with sqlite3.connect(story.path) as db:
        db.execute(harm)
    db.close()

    done = ask("log", "verify", "--deep", "--log", story.path, "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert not told["ok"]
    assert what in {finding["what"] for finding in told["findings"]}


@pytest.mark.parametrize(
    "typed",
    [["rollout"], ["runs", "lst"], ["runs", "list", "--jsn"], ["rollouts", "list", "--limit", "x"], ["log", "query"]],
)
def test_wrong_usage_is_exit_code_2(run, typed):
    """With what was meant, where that can be guessed."""
    done = run(*typed)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: agl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("arguments", [["plugins"], ["--help"], ["plugins", "--json"]], ids=" ".join)
def test_a_full_disk_is_said_in_a_line(arguments):
    """Whatever `agl` printed to it."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "agl_core.cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert "takes no more: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell closes it")
def test_nobody_need_listen():
    """`>&-` closes stdout: the work is done all the same."""
    done = subprocess.run(  # noqa: S602 - ours
        f"{sys.executable} -m agl_core.cli plugins >&-", shell=True, stderr=subprocess.PIPE, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_command_names_its_neighbour(run):
    """Also when it would have been a plugin's."""
    assert "Did you mean 'rollouts'?" in run("rollout").stderr
    assert "Is the plugin that brings it installed? `agl plugins` tells" in run("zzz").stderr


def test_every_command_says_what_it_does_and_knows_json(ask):
    """The line in the list is the command's own; whatever prints data can print JSON."""
    for name, later in agl.later.items():
        command = later.load()
        assert command.get_short_help_str(limit=100) == later.summary
        for leaf in getattr(command, "commands", {name: command}).values():
            assert leaf.help
            assert "as_json" in {parameter.name for parameter in leaf.params}
