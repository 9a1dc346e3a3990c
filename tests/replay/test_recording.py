"""The script that records histories adds those that are missing, and leaves alone what is there."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agl_core.trainer import check_history

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Its names; what it records goes to another place."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    found = runpy.run_path(str(ROOT / "scripts" / "record_histories.py"), run_name="record_histories")
    names: dict[str, Any] = found["main"].__globals__
    names.update(ROOT=tmp_path, FOLDER=tmp_path)
    return names


@pytest.fixture
def record(tmp_path):
    """Types its command, for a release of its own; where that history is, and what was said.

    In a process of its own: one that has opened a log before knows what its machine is called.
    """

    def run(name: str) -> tuple[Path, str]:
        arguments = [str(ROOT / "scripts" / "record_histories.py"), str(tmp_path), name]
        environment = {**os.environ, "AGL_LOAD_PLUGINS": "", "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *sys.path]))}
        done = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return tmp_path / "9.9.9" / f"{name}.jsonl.gz", done.stdout

    return run


_ELSEWHERE = """
import pathlib, runpy, sys
script, folder, name = sys.argv[1:]
main = runpy.run_path(script, run_name="record_histories")["main"]
main.__globals__.update(ROOT=pathlib.Path(folder), FOLDER=pathlib.Path(folder))
sys.argv = ["record_histories.py", name, "--version", "9.9.9"]
main()
"""


def test_a_history_is_never_written_over(record):
    """The second time it is there, and stays; and it is one that today's code goes through."""
    path, _ = record("stop-early")
    before = path.read_bytes()

    _, said = record("stop-early")

    assert path.read_bytes() == before
    assert "is there, and stays" in said
    (checked,) = check_history(path)
    assert checked.outcome == "same", str(checked.error)


def test_a_history_that_tells_of_its_machine_is_refused(script, tmp_path, monkeypatch):
    """Nothing is written then."""
    monkeypatch.setattr(sys, "argv", ["record_histories.py", "baseline", "--version", "9.9.9"])
    tasks = {"train": [{"n": 1, "file": str(Path.home() / "file")}]}

    def tells(log: str) -> None:
        script["fit"](log, {"name": "baseline"}, script["counted"], tasks)

    script["RUNS"] = {"baseline": ("", tells)}

    with pytest.raises(ValueError, match="it names"):
        script["main"]()

    assert list(tmp_path.iterdir()) == []
