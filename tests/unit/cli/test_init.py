"""`agl init`: a project that runs as it was written, and never in the place of another."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.cli._init import FRAMEWORKS, project

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_project_runs_offline_as_it_is(tmp_path, ask, framework):
    """Six tasks, four of them right; its log says so."""
    if find_spec(FRAMEWORKS[framework][0]) is None:
        pytest.skip(f"{FRAMEWORKS[framework][1]} is not installed")
    folder = tmp_path / "deep" / "mine"

    written = ask("init", folder, "--framework", framework, "--json")
    done = subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, text=True, check=False)

    assert json.loads(written.stdout) == {
        "folder": str(folder), "framework": framework, "missing": False,
        "files": ["README.md", "agent.py", "model.py", "tasks.jsonl", "train.py"],
    }  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "mean reward 0.7 of 6 rollouts\n"), done.stderr
    with agl.open_log(str(folder / ".agl/log.db"), readonly=True) as log:
        assert log.rows("select status, count(*) from calls group by status") == [("ok", 6)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_project_says_what_it_is_and_which_line_to_change(framework):
    """A task with a type, a rollout, a reward; two runners; a scripted model, and a real one in its place."""
    texts = project(framework)

    assert {"class Task(TypedDict):", "@agl.rollout", "def reward("} <= _lines(texts["agent.py"])
    assert "n_runners=2, max_rollouts=50" in texts["train.py"]
    assert "# The line to change for a real model: url = " in texts["train.py"]
    assert "scripted model" in texts["README.md"]
    for name in ("agent.py", "model.py", "train.py"):
        compile(texts[name], name, "exec")


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path, ask):
    """One file of that name is enough; what is beside it does not matter."""
    (tmp_path / "model.py").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")

    done = ask("init", tmp_path)

    assert done.exit_code == 1
    assert "it has model.py, and nothing is overwritten" in done.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "model.py": "mine",
        "notes.txt": "mine too",
    }


def test_a_place_that_cannot_be_written_is_a_line(tmp_path, ask):
    """A file in the way."""
    (tmp_path / "file").write_text("")

    done = ask("init", tmp_path / "file" / "mine")

    assert done.exit_code == 1
    assert "error[BAD_VALUE]: DIR" in done.stderr


def test_the_next_steps_are_told(tmp_path, ask, monkeypatch):
    """From where the reader is."""
    monkeypatch.chdir(tmp_path)

    there, here = ask("init", "mine"), ask("init")

    assert "mine/agent.py" in there.stdout
    assert "  cd mine\n  python train.py\n" in there.stdout
    assert "cd" not in here.stdout


def test_the_tutorial_shows_the_files_that_are_written():
    """Word for word, whichever of the two is changed."""
    page = (ROOT / "docs/tutorial/your-own-agent.md").read_text("utf-8")
    texts = project("plain")

    shown = {name: page.partition(f'title="{name}"\n')[2].partition("```")[0] for name in texts if name != "README.md"}

    assert shown == {name: text for name, text in texts.items() if name != "README.md"}


def _lines(text: str) -> set[str]:
    lines = {line.strip() for line in text.splitlines()}
    return lines | {line.partition("(")[0] + "(" for line in lines}
