"""The bare limit writes what our log wrote, row for row."""

import sqlite3

import pytest


@pytest.fixture
def replaying(module):
    """The recording and its replay."""
    return module("_contestants._replaying")


@pytest.fixture
def drafts(module):
    """The workload."""
    return module("_contestants._drafts").drafts


def test_a_recording_is_writes_only_and_comes_to_the_same_rows(replaying, drafts):
    """What is read, and how the file was made, is no part of it."""
    recording = replaying.record(lambda log: log.append(drafts(3, event="call")), durability="normal")

    words = {sql.split()[0].lower() for _, sql, _ in recording.writes}
    seconds, size = replaying.replay(recording)

    assert {"begin", "insert", "commit"} <= words <= {"begin", "commit", "insert", "update", "delete", "replace"}
    assert recording.rows["events"] == 3
    assert seconds > 0
    assert size > 0


def test_a_replay_that_writes_other_rows_is_refused(replaying, drafts):
    """Or a change of how the log writes would make a limit of less work."""
    recording = replaying.record(lambda log: log.append(drafts(2, event="tiny")), durability="normal")
    recording.writes = [write for write in recording.writes if "into events" not in write[1]]

    with pytest.raises(AssertionError, match="other rows"):
        replaying.replay(recording)


def test_nothing_is_recorded_afterwards(replaying, drafts):
    """A connection is SQLite's own again."""
    replaying.record(lambda log: log.append(drafts(1, event="tiny")), durability="full")

    assert type(sqlite3.connect(":memory:")) is sqlite3.Connection
