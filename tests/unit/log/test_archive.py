"""An export opened as a log: it reads, it is never written to, and it leaves nothing behind."""

import sqlite3
import tempfile
from contextlib import closing

import pytest

import agl_core as agl
from agl_core.errors import LogCorrupt, LogNotFound, LogReadOnly, LogUnsupported
from agl_core.events import NoteTaken, RolloutEnqueued
from agl_core.export import export_log
from agl_core.log import Archive, SqliteLog, digest, verify
from agl_core.projections import CORE
from agl_core.record import Draft

FORMATS = ["parquet", "duckdb", "jsonl"]


def _agent(task):
    return 1.0


@pytest.fixture(params=FORMATS)
def exported(tmp_path, request):
    """A file of two rollouts and a note."""
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        for name in ("ro-1", "ro-2"):
            event = RolloutEnqueued(rollout_id=name, input={"q": name}, task_id="ta-1")
            log.append([Draft(stream=f"rollout/{name}", event=event)])
        log.append([Draft(stream="log", event=NoteTaken(text="a"))])
        return export_log(log, tmp_path / f"run.{request.param}")


def test_nothing_can_be_written_to_an_export(exported):
    """Not by a log that is open, and none is opened for it; the cure is an import."""
    note = Draft(stream="log", event=NoteTaken(text="b"))
    with agl.open_log(str(exported.path), readonly=True) as log:
        for write in (log.append, log.submit):
            with pytest.raises(LogReadOnly, match="agl log import"):
                write([note])
        with pytest.raises(LogReadOnly, match="agl log import"):
            log.transact(lambda _view: [note])

    with pytest.raises(LogReadOnly, match="agl log import"):
        agl.open_log(str(exported.path))


@pytest.mark.parametrize("name", ["run.duckdb", "run.parquet", "run.jsonl", "duckdb:///run.duckdb"])
def test_no_live_log_lies_in_such_a_file(tmp_path, name, monkeypatch):
    """A run is told before it begins, with the cure; nothing is made."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(LogUnsupported, match="Use an SQLite path"):
        agl.open_log(name)
    with pytest.raises(LogUnsupported, match="Use an SQLite path"):
        agl.Trainer(algorithm="baseline", store=name).fit(agl.rollout(_agent), [{"q": 1}])

    assert list(tmp_path.iterdir()) == []


def test_an_export_is_sound_and_is_the_log(exported):
    """By its seal, and by everything that `verify` looks at."""
    with Archive(exported.path, projections=CORE) as log:
        assert list(verify(log)) == []
        assert digest(log) == exported.seal
        assert log.url == str(exported.path)


def test_what_is_in_a_file_says_what_it_is(exported, tmp_path):
    """A name may say anything."""
    moved = exported.path.rename(tmp_path / "renamed.db")

    with agl.open_log(str(moved), readonly=True) as log:
        assert log.head() == 3


def test_nothing_is_left_of_the_copy(exported, tmp_path, monkeypatch):
    """Nor when it fails."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    with Archive(exported.path, projections=CORE) as log:
        log.rows("select * from rollouts")
        assert list((tmp_path / "tmp").iterdir())
    exported.path.write_bytes(exported.path.read_bytes()[:40])
    with pytest.raises(LogCorrupt):
        Archive(exported.path)

    assert list((tmp_path / "tmp").iterdir()) == []


def test_tables_are_folded_when_somebody_asks_for_them(exported):
    """Who reads the events alone does not wait for that."""

    def tables(log):
        with closing(sqlite3.connect(log.path)) as db:
            return {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}

    with Archive(exported.path, projections=CORE) as log:
        assert [record.position for record in log.read()] == [1, 2, 3]
        assert "rollouts" not in tables(log)

        assert log.rows("select count(*) from rollouts") == [(2,)]
        assert "rollouts" in tables(log)


@pytest.mark.parametrize("format", FORMATS)
def test_there_must_be_something_to_open(tmp_path, format):
    """It says where it looked."""
    with pytest.raises(LogNotFound, match=f"none.{format}"):
        agl.open_log(str(tmp_path / f"none.{format}"), readonly=True)
