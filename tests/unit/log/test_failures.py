"""What SQLite says has a code of ours, and a cure, or stays what it is."""

import sqlite3

import pytest

from agl_core.errors import DiskFailed, LogBusy, LogCorrupt, LogFull, LogReadOnly
from agl_core.log._failures import explained, is_damage


def said(code):
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode, error.sqlite_errorname = code, "NAME"
    return error


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        (sqlite3.SQLITE_CORRUPT, LogCorrupt),
        (sqlite3.SQLITE_CORRUPT_INDEX, LogCorrupt),
        (sqlite3.SQLITE_NOTADB, LogCorrupt),
        (sqlite3.SQLITE_BUSY, LogBusy),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, LogBusy),
        (sqlite3.SQLITE_LOCKED, LogBusy),
        (sqlite3.SQLITE_FULL, LogFull),
        (sqlite3.SQLITE_IOERR_WRITE, LogFull),
        (sqlite3.SQLITE_IOERR_SHMSIZE, LogFull),
        (sqlite3.SQLITE_IOERR_READ, DiskFailed),
        (sqlite3.SQLITE_IOERR_FSYNC, DiskFailed),
        (sqlite3.SQLITE_READONLY, LogReadOnly),
        (sqlite3.SQLITE_READONLY_DIRECTORY, LogReadOnly),
        (sqlite3.SQLITE_CANTOPEN, LogReadOnly),
    ],
)
def test_every_kind_of_failure_has_a_code(code, ours):
    """Which log it was, and what SQLite said."""
    told = explained(said(code), "/logs/run.db")

    assert type(told) is ours
    assert told.path == "/logs/run.db"
    assert is_damage(said(code)) == (ours is LogCorrupt)


@pytest.mark.parametrize("error", [said(sqlite3.SQLITE_CONSTRAINT), ValueError("not SQLite's")])
def test_what_is_no_failure_of_the_file_stays_as_it_is(error):
    """It belongs to whoever asked."""
    assert explained(error, "/logs/run.db") is error
