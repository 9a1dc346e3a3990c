"""A log that one process opens more than once, beside another process that writes to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import agl_core as agl
from agl_core.events import NoteTaken
from agl_core.log import Format
from agl_core.record import Draft

WRITES = """
import sys
import agl_core as agl
from agl_core.events import NoteTaken
from agl_core.record import Draft

with agl.open_log(sys.argv[1]) as log:
    log.append([Draft(stream="log", event=NoteTaken(text="theirs"))])
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@pytest.mark.parametrize("readonly", [False, True])
def test_a_log_that_is_opened_twice_loses_nothing_when_another_process_closes_it(tmp_path, readonly):
    """The locks of the first handle stay, so the other process is not the last one, and leaves what is in use."""
    path = str(tmp_path / "log.db")
    with agl.open_log(path) as log:
        log.append([Draft(stream="log", event=NoteTaken(text="before"))])
        with agl.open_log(path, readonly=readonly) as second:
            assert second.head() == 1

        subprocess.run([sys.executable, "-c", WRITES, path], check=True, timeout=60)
        log.append([Draft(stream="log", event=NoteTaken(text="after"))])

        assert [record.event.text for record in log.read()] == ["before", "theirs", "after"]
    with agl.open_log(path, readonly=True) as log:
        assert [record.event.text for record in log.read()] == ["before", "theirs", "after"]


def test_what_a_file_is_is_told_by_its_beginning(tmp_path):
    """Whatever its name; what is empty, or not there, is nothing yet."""
    with agl.open_log(str(tmp_path / "log.db")):
        pass
    (tmp_path / "log.db").rename(tmp_path / "log.parquet")
    (tmp_path / "lines.db").write_text('{"position": 1}\n{"position":2}'.replace(" ", ""))
    (tmp_path / "empty.db").touch()

    found = [Format.of(tmp_path / name) for name in ("log.parquet", "lines.db", "empty.db", "gone.db", "")]
    assert found == [Format.SQLITE, Format.JSONL, None, None, None]
