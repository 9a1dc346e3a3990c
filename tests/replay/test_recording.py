"""The script that records histories adds those that are missing, and leaves alone what is there."""

from __future__ import annotations

import runpy
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
def record(script, tmp_path, monkeypatch):
    """Types its command, for a release of its own; where that history is."""

    def run(name: str) -> Path:
        monkeypatch.setattr(sys, "argv", ["record_histories.py", name, "--version", "9.9.9"])
        script["main"]()
        return tmp_path / "9.9.9" / f"{name}.jsonl.gz"

    return run


def test_a_history_is_never_written_over(record, capsys):
    """The second time it is there, and stays; and it is one that today's code goes through."""
    path = record("stop-early")
    before = path.read_bytes()

    record("stop-early")

    assert path.read_bytes() == before
    assert "is there, and stays" in capsys.readouterr().out
    (checked,) = check_history(path)
    assert checked.outcome == "same", str(checked.error)


def test_a_history_that_tells_of_its_machine_is_refused(script, record, tmp_path):
    """Nothing is written then."""
    tasks = {"train": [{"n": 1, "file": str(Path.home() / "file")}]}

    def tells(log: str) -> None:
        script["fit"](log, {"name": "baseline"}, script["counted"], tasks)

    script["RUNS"] = {"baseline": ("", tells)}

    with pytest.raises(ValueError, match="it names"):
        record("baseline")

    assert list(tmp_path.iterdir()) == []
