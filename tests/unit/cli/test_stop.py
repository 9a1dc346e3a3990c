"""`agl stop`: a run ends in good order, whatever process it is in; asked twice, it is asked once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.events import RunFinished, RunStarted, RunStopAsked
from agl_core.record import Draft

PROGRAM = """
import sys

import agl_core as agl


@agl.rollout
def idle(task):
    return 1.0


@agl.algo
async def rounds(run):
    n = 0
    while await run.goes_on():
        await run.rollouts([{"n": n}])
        n += 1
        print(n, flush=True)
        sys.stdin.readline()
    run.result["rounds"] = n


resume = sys.argv[2] if len(sys.argv) > 2 else None
agl.Trainer(algorithm=rounds, store=sys.argv[1], preflight=False).fit(idle, [{"n": 0}], resume=resume)
"""


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch, tmp_path):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    monkeypatch.chdir(tmp_path)


def facts(log: Path, kind: type) -> list:
    """Events of that kind."""
    with agl.open_log(str(log), readonly=True) as opened:
        return [record.event for record in opened.read(types=[kind.type])]


@contextmanager
def running(*arguments: Any) -> Iterator[subprocess.Popen]:
    """The program above, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_run_of_another_process_ends_in_good_order(ask, tmp_path):
    """The round under way is ended, what was learnt is kept, and the run is finished."""
    log = tmp_path / "log.db"
    with running(log) as process:
        assert process.stdout.readline() == "1\n"
        (run,) = [event.run_id for event in facts(log, RunStarted)]

        asked = ask("stop", run[:12], "--why", "good enough", "--log", log)
        listed = json.loads(ask("runs", "list", "--log", log, "--json").stdout)
        process.communicate("go\n", timeout=60)

    assert asked.exit_code == 0
    assert "at the head of its next round" in asked.stderr
    assert listed[0]["status"] == "stopping"
    assert process.returncode == 0
    assert [event.result for event in facts(log, RunFinished)] == [{"rounds": 1}]


def test_a_killed_run_that_was_asked_ends_when_it_is_resumed(ask, tmp_path):
    """What it did before is kept, and no further round begins."""
    log = tmp_path / "log.db"
    with running(log) as process:
        assert process.stdout.readline() == "1\n"
        process.kill()
        process.wait(60)
    (run,) = [event.run_id for event in facts(log, RunStarted)]
    ask("stop", run, "--log", log)

    with running(log, run) as process:
        said, _ = process.communicate("go\n", timeout=60)

    assert (process.returncode, said) == (0, "1\n")
    assert [event.result for event in facts(log, RunFinished)] == [{"rounds": 1}]


def test_a_run_that_was_asked_is_not_asked_again(ask, killed):
    """There is one fact of it, and who asks later is told the reason of who asked first."""
    first = json.loads(ask("stop", killed.run, "--why", "enough", "--log", killed.path, "--json").stdout)
    second = json.loads(ask("stop", killed.run, "--why", "more than enough", "--log", killed.path, "--json").stdout)

    assert (first["is_new"], second["is_new"]) == (True, False)
    assert (first["why"], second["why"]) == ("enough", "enough")
    assert [event.why for event in facts(killed.path, RunStopAsked)] == ["enough"]


def test_a_run_that_nobody_drives_obeys_when_it_is_resumed(ask, killed):
    """It says so, and the run stays what it was: interrupted."""
    asked = ask("stop", killed.run, "--log", killed.path)

    assert f"agl resume {killed.run}" in asked.stderr
    assert json.loads(ask("runs", "list", "--log", killed.path, "--json").stdout)[0]["status"] == "interrupted"
    assert "somebody asked" in ask("runs", "show", "--log", killed.path).stdout


def test_a_run_that_is_over_cannot_be_stopped(ask, story):
    """A request that nobody could obey is no fact."""
    asked = ask("stop", story.run, "--log", story.path)

    assert asked.exit_code == 1
    assert "RUN_IS_OVER" in asked.stderr
    assert not facts(story.path, RunStopAsked)


def test_a_run_that_is_not_there_is_not_stopped(ask, story):
    """By its code."""
    asked = ask("stop", "run-nobody", "--log", story.path)

    assert asked.exit_code == 1
    assert "UNKNOWN_ID" in asked.stderr


def test_who_asked_by_other_means_counts(ask, killed):
    """A reaction asks by a fact of its own; whoever types the command after it is told."""
    event = RunStopAsked(run_id=killed.run, why="no gain", by="stop-early 0.1.0")
    with agl.open_log(str(killed.path)) as log:
        log.append([Draft(stream=f"run/{killed.run}", event=event)])

    told = json.loads(ask("stop", killed.run, "--log", killed.path, "--json").stdout)

    assert (told["is_new"], told["by"]) == (False, "stop-early 0.1.0")
