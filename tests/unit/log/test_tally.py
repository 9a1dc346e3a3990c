"""What the log took no note of is counted beside it, and told once: by whoever opens it after that process is gone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agl_core.events import CaptureLost
from agl_core.log import SqliteLog, verify
from agl_core.projections import CORE

_OWING = """
import os, sys
import agl_core.projections
from agl_core.log import SqliteLog
from agl_core.projections import CORE

log = SqliteLog(sys.argv[1], projections=CORE)
for calls in sys.argv[2:]:
    log.owe(int(calls))
os._exit(0)
"""


def owing(path, *calls):
    """A process that owes so many calls, and dies."""
    subprocess.run([sys.executable, "-c", _OWING, str(path), *map(str, calls)], check=True, timeout=60)


def told(path):
    """How many calls are said to be lost, fact by fact, once the log is opened."""
    with SqliteLog(path, projections=CORE) as log:
        assert list(verify(log)) == []
        return [record.event.count for record in log.read() if isinstance(record.event, CaptureLost)]


def test_what_a_dead_process_owed_is_told_once(tmp_path):
    """By the next who opens the log, and by nobody after."""
    path = tmp_path / "log.db"
    owing(path, 2, 3, -1)

    assert told(path) == [4]
    assert told(path) == [4]


def test_each_process_has_a_place_of_its_own(tmp_path):
    """Those who died one after the other are told one by one; the places of all of them are taken again."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        owing(path, 1)
        log.owe(2)
        owing(path, 3)
        size = path.with_name("log.db-turn").stat().st_size
        owing(path, 0)
        owing(path, 4)

    assert sorted(told(path)) == [1, 2, 3, 4]
    assert path.with_name("log.db-turn").stat().st_size == size


def test_what_was_found_is_owed_no_more(tmp_path):
    """A note that came late, or an end that was kept."""
    path = tmp_path / "log.db"
    owing(path, 5, -5)

    assert told(path) == []


def test_what_is_owed_when_a_log_is_closed_is_told_by_the_same_process_too(tmp_path):
    """It may open it again."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        log.owe(3)

    assert told(path) == [3]


def test_a_living_process_is_not_spoken_for(tmp_path):
    """It may find what it owes."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        log.owe(3)

        assert told(path) == []

        log.owe(-3)
    assert told(path) == []


@pytest.mark.parametrize("content", [b"\xff" * 700, b"x", b"host|boot|1 2\n", b"a b c d e " * 100])
def test_what_else_is_in_the_file_harms_nobody(tmp_path, content):
    """It is no place: it may be taken."""
    path = tmp_path / "log.db"
    path.with_name("log.db-turn").write_bytes(content)
    owing(path, 2)

    assert told(path) == [2]
