"""`verify` finds what is wrong, `rebuild` mends what can be mended."""

import sqlite3
import threading

import pytest

from agl_core.events import CallRecorded, Message, ModelCall, NoteTaken, RolloutEnqueued
from agl_core.log import SqliteLog, rebuild, verify
from agl_core.projections import CORE
from agl_core.record import Draft


def call(turns):
    """A model call whose history has so many turns."""
    history = tuple(Message(role="user", content=f"turn {turn}") for turn in range(turns))
    asked = ModelCall(model="m", messages=history, prompt_token_ids=tuple(range(turns * 200)))
    fields = {"rollout_id": "ro-1", "attempt_id": "at-1", "started_at": 0, "latency": 0.0}
    return Draft(stream="rollout/ro-1", event=CallRecorded(call_id=f"ca-{turns}", call=asked, **fields))


@pytest.fixture
def log(tmp_path):
    """A log with a rollout, calls that share their history, and notes."""
    enqueued = RolloutEnqueued(rollout_id="ro-1", input={"q": "x"}, task_id="ta-1")
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        log.append([Draft(stream="rollout/ro-1", event=enqueued), call(1), call(2), call(3)])
        log.append([Draft(stream="log", event=NoteTaken(text=str(n))) for n in range(20)])
        list(log.read())
        yield log


def damaged(log, *statements):
    """Somebody with a tool of his own was at the file."""
    db = sqlite3.connect(log.path)
    db.execute("drop trigger if exists events_stay")
    db.execute("drop trigger if exists events_last")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def found(log):
    """What `verify` finds, by its kinds."""
    return {finding.what for finding in verify(log)}


def test_a_sound_log_has_nothing_to_find(log):
    """And progress is told to the end."""
    told = []

    assert list(verify(log, progress=lambda done, all_: told.append((done, all_)))) == []
    assert told[-1] == (24, 24)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("delete from events where position = 10", "position"),
        ("delete from events where position = 10", "version"),
        ("update events set data = '{}' where position = 10", "event"),
        ("update events set data = json_set(data, '$.call.messages.n', 7) where position = 3", "event"),
        ("update blobs set content = x'00'", "blob"),
        ("delete from blobs where cast(content as text) like '{\"parent\":null%'", "event"),
        ("update rollouts set status = 'succeeded'", "projection"),
        ("delete from queue", "projection"),
        ("insert into queue values (99, 'ro-99')", "projection"),
        ("drop table queue", "projection"),
    ],
)
def test_damage_is_found(log, statement, what):
    """Whatever table it is in, also when a reader still remembers what is gone."""
    damaged(log, statement)

    assert what in found(log)


def test_every_blob_that_is_missing_is_missed(log):
    """One by one: the newest link of a chain has nobody who points at it but its event."""
    blobs = log.rows("select place, id, content from blobs")
    assert len(blobs) > 5

    for place, id_, content in blobs:
        with sqlite3.connect(log.path) as db:
            db.execute("delete from blobs where id = ?", (id_,))
        db.close()
        assert found(log)
        with sqlite3.connect(log.path) as db:
            db.execute("insert into blobs values (?, ?, ?)", (place, id_, content))
        db.close()

    assert found(log) == set()


def test_a_damaged_page_is_reported_not_raised(tmp_path):
    """Who asks what is wrong gets an answer."""
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        log.append([Draft(stream="log", event=NoteTaken(text="x" * 500)) for _ in range(500)])
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 20_000)

    with SqliteLog(path) as log:
        assert "file" in found(log)


def test_verify_is_not_misled_by_writers(log):
    """Tables are compared as they were at one moment."""
    done = threading.Event()

    def write():
        number = 0
        while not done.is_set():
            number += 1
            event = RolloutEnqueued(rollout_id=f"ro-w{number}", input=number, task_id="ta-1")
            log.append([Draft(stream=f"rollout/ro-w{number}", event=event)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        findings = [found(log) for _ in range(5)]
    finally:
        done.set()
        writer.join()

    assert findings == [set()] * 5


def test_rebuilding_mends_the_tables(log):
    """All of them, or some; and says how many records it read."""
    damaged(log, "update rollouts set status = 'succeeded'", "delete from calls")
    rollouts, calls = CORE[0], CORE[1]

    assert rebuild(log.path, [rollouts]) == 24
    assert {finding.where for finding in verify(log)} == {"calls.calls"}
    rebuild(log.path, [calls])
    assert list(verify(log)) == []


def test_a_rebuild_that_fails_changes_nothing(log):
    """It is one transaction."""

    class Broken:
        name, version, tables = CORE[0].name, CORE[0].version, CORE[0].tables

        def apply(self, record, db):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        rebuild(log.path, [Broken()])

    assert list(verify(log)) == []
