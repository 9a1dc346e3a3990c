"""A log of each layout that was ever shipped opens, is brought up to date, and says what it said.

`layout-N.db` was written by the release of that layout: every event there was, a short story of rollouts, and a fact of
a plugin that is not installed. `layout-N.jsonl` is what that release read back, one event a line.
"""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest

from agl_core.errors import LogReadOnly
from agl_core.events import NoteTaken, Unknown
from agl_core.log import SqliteLog, rebuild, verify
from agl_core.log._layout import LAYOUT
from agl_core.projections import CORE
from agl_core.record import Draft

CORPUS = sorted((Path(__file__).parents[2] / "corpus").glob("layout-*.db"))


@pytest.fixture(params=CORPUS, ids=lambda path: path.stem)
def kept(request):
    """A log of the corpus, where it must not be changed."""
    return request.param


@pytest.fixture
def path(kept, tmp_path):
    """A copy of it."""
    return Path(shutil.copy(kept, tmp_path / "log.db"))


def is_old(path):
    """Its layout is not today's."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("pragma user_version").fetchone() != (LAYOUT,)


def brought_up(path):
    """Its layout and its tables are today's."""
    rebuild(path, CORE)


def told(record):
    """The record as the release of its day told it."""
    event = record.event
    is_unknown = isinstance(event, Unknown)
    data = {"name": event.name, "version": event.version, "data": event.data} if is_unknown else event
    type_ = "Unknown" if is_unknown else event.type
    envelope = [record.position, record.id, record.stream, record.version, type_]
    return [*envelope, record.key, record.correlation_id, record.actor, record.recorded_at, msgspec.to_builtins(data)]


def test_it_says_what_it_said(path, kept):
    """Every event, by the release's own account; a field that came later has its default."""
    brought_up(path)

    with SqliteLog(path, readonly=True) as log:
        records = [told(record) for record in log.read()]

    for record, line in zip(records, kept.with_suffix(".jsonl").read_text().splitlines(), strict=True):
        *envelope, data = json.loads(line)
        assert record[:-1] == envelope
        assert _within(data, record[-1])


def _within(old, new):
    if isinstance(old, dict):
        return old.keys() <= new.keys() and all(_within(old[name], new[name]) for name in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_within, old, new))
    return old == new


def test_it_is_sound_and_goes_on(path):
    """Positions, hashes, seals and tables; and the next fact takes the next place."""
    brought_up(path)

    with SqliteLog(path, projections=CORE) as log:
        assert list(verify(log)) == []
        head = log.head()
        assert log.append([Draft(stream="log", event=NoteTaken(text="today"))])[0].position == head + 1
        assert list(verify(log)) == []


def test_what_it_acknowledged_may_be_sent_again(path):
    """By the same keys: that an older release wrote other bytes for the same fact makes it no other fact."""
    brought_up(path)

    with SqliteLog(path, projections=CORE) as log:
        known = [record for record in log.read() if record.key]
        again = [Draft(stream=one.stream, event=one.event, key=one.key) for one in known]
        assert {record.event.type for record in known} >= {"call.recorded", "rollout.enqueued"}
        assert [record.position for record in log.append(again)] == [record.position for record in known]


def test_what_only_reads_does_not_change_it(path):
    """An older layout asks for a writer, and says so."""
    before = path.read_bytes()

    if is_old(path):
        with pytest.raises(LogReadOnly, match="older"):
            SqliteLog(path, readonly=True)
    else:
        SqliteLog(path, readonly=True).close()

    assert path.read_bytes() == before


def test_every_layout_that_was_shipped_is_in_the_corpus():
    """Today's too: from now on it is somebody's file. The second and the third were never shipped."""
    assert sorted(int(path.stem.removeprefix("layout-")) for path in CORPUS) == [1, LAYOUT]
