"""A log made of facts that have their places: row for row what it was made of."""

import pytest

from agl_core.errors import LogExists
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog, assemble, stored, verify
from agl_core.projections import CORE
from agl_core.record import Draft

TABLES = ["events", "blobs", "seals", "secrets"]


def rows(log):
    """All that a copy has to have."""
    return {table: log.rows(f"select * from {table}") for table in TABLES}  # noqa: S608


def test_a_log_that_is_assembled_is_the_log(tmp_path):
    """Facts, blobs, seals and the key; tables are folded, and the copy goes on."""
    with SqliteLog(tmp_path / "a.db", projections=CORE) as log:
        for number in range(700):
            log.append([Draft(stream=f"run/{number % 3}", event=NoteTaken(text=str(number)), key=f"k{number}")])
        seals = log.rows("select position, hash from seals")

        head = assemble(tmp_path / "b.db", stored(log), seals=seals, secret=log.secret(), projections=CORE)

        with SqliteLog(tmp_path / "b.db", projections=CORE) as copy:
            assert head == 700
            assert rows(copy) == rows(log)
            assert list(verify(copy)) == []
            assert copy.append([Draft(stream="log", event=NoteTaken(text="on"))])[0].position == 701
    assert sorted(path.name for path in tmp_path.iterdir() if "-" not in path.name) == ["a.db", "b.db"]


def test_nothing_is_written_over(tmp_path):
    """What is there stays, and nothing is left of the attempt."""
    (tmp_path / "b.db").write_text("mine")

    with pytest.raises(LogExists):
        assemble(tmp_path / "b.db", [])

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("b.db", "mine")]
