"""`verify` finds what is wrong, `rebuild` mends what can be mended."""

import sqlite3
import threading
import tracemalloc

import pytest

from agl_core.events import (
    AttemptFinished,
    AttemptStarted,
    BlobsErased,
    CallRecorded,
    Message,
    ModelCall,
    NoteTaken,
    RewardGiven,
    RewardWithdrawn,
    RolloutCancelled,
    RolloutEnqueued,
    Target,
    Unknown,
)
from agl_core.log import SqliteLog, rebuild, verify
from agl_core.projections import CORE
from agl_core.record import Draft


def call(turns):
    """A model call whose history has so many turns."""
    history = tuple(Message(role="user", content=f"turn {turn}") for turn in range(turns))
    asked = ModelCall(model="m", messages=history, prompt_token_ids=tuple(range(turns * 200)))
    fields = {"rollout_id": "ro-1", "attempt_id": "at-1", "started_at": 0, "latency": 0.0}
    return Draft(stream="rollout/ro-1", event=CallRecorded(call_id=f"ca-{turns}", call=asked, **fields))


def reward(kind, id_):
    """A number somebody put on something."""
    return RewardGiven(rollout_id="ro-1", target=Target(kind=kind, id=id_), value=1.0, judge="j")


STARTED = Draft(
    stream="rollout/ro-1",
    event=AttemptStarted(rollout_id="ro-1", attempt_id="at-1", sequence=1, worker_id="wk-1", token=1),
)


@pytest.fixture
def log(tmp_path):
    """A log with a rollout, calls that share their history, and notes."""
    enqueued = RolloutEnqueued(rollout_id="ro-1", input={"q": "x"}, task_id="ta-1")
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        log.append([Draft(stream="rollout/ro-1", event=enqueued), STARTED, call(1), call(2), call(3)])
        log.append([Draft(stream="log", event=NoteTaken(text=str(n))) for n in range(19)])
        waiting = RolloutEnqueued(rollout_id="ro-2", input={"q": "y"}, task_id="ta-1")
        log.append([Draft(stream="rollout/ro-2", event=waiting)])
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


def without(log, id_):
    """A blob is not there any more."""
    with sqlite3.connect(log.path) as db:
        db.execute("delete from blobs where id = ?", (id_,))
    db.close()


def found(log, *, deep=True):
    """What `verify` finds, by its kinds."""
    return {finding.what for finding in verify(log, deep=deep)}


def test_a_sound_log_has_nothing_to_find(log):
    """And progress is told to the end."""
    told = []

    assert list(verify(log, progress=lambda done, all_: told.append((done, all_)))) == []
    assert told[-1] == (25, 25)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("delete from events where position = 10", "position"),
        ("delete from events where position = 10", "version"),
        ("update events set data = '{}' where position = 10", "event"),
        ("update events set data = json_set(data, '$.call.messages.n', 7) where position = 4", "event"),
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


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("delete from events where position = 10", "position"),
        ("delete from events where position = 10", "version"),
        ("update events set actor = 'somebody else' where position = 10", "seal"),
        ("update events set data = json_set(data, '$.text', 'another') where position = 10", "seal"),
        ("delete from seals where position = (select max(position) from seals)", "seal"),
        ("delete from blobs where cast(content as text) like '{\"parent\":null%'", "reference"),
        ("drop table queue", "projection"),
    ],
)
def test_a_quick_look_finds_what_is_not_in_its_order(log, statement, what):
    """Without decoding an event, hashing a blob or folding a table."""
    damaged(log, statement)

    assert what in found(log, deep=False)
    assert found(log, deep=False) <= found(log)


def test_a_table_that_keeps_nothing_unique_is_found(log):
    """Ids and keys may come twice in it, though none does yet."""
    damaged(
        log, "create table other as select * from events", "drop table events", "alter table other rename to events"
    )

    findings = [finding for finding in verify(log, deep=False) if finding.what == "unique"]

    assert [finding.where for finding in findings] == ["id", "key", "stream, version"]


@pytest.mark.parametrize(
    ("stream", "event", "why"),
    [
        (
            "rollout/ro-1",
            AttemptFinished(rollout_id="ro-1", attempt_id="at-9", exit_status="completed"),
            "no attempt at-9",
        ),
        ("rollout/ro-9", RolloutCancelled(rollout_id="ro-9"), "ro-9 was never enqueued"),
        ("rollout/ro-1", RolloutCancelled(rollout_id="ro-2"), "it is of ro-2, in the stream of ro-1"),
        ("rollout/ro-1", RewardWithdrawn(rollout_id="ro-1", reward="01j", why=""), "no reward 01j"),
        ("rollout/ro-1", reward("call", "ca-9"), "no call ca-9"),
        ("rollout/ro-1", reward("rollout", "ro-2"), "no rollout ro-2"),
    ],
    ids=["attempt", "rollout", "stream", "withdrawn", "call", "target"],
)
def test_an_id_that_nothing_has_is_found(log, stream, event, why):
    """A rollout is told in its own stream, and names what is in it."""
    log.append([Draft(stream=stream, event=event)])

    assert [(finding.what, finding.why) for finding in verify(log, deep=False)] == [("foreign", why)]


def test_a_cause_that_is_no_event_is_found(log):
    """A cause that is one is fine."""
    first = next(iter(log.read()))
    log.append([Draft(stream="log", event=NoteTaken(text="so"), causation_id=first.id)])
    assert found(log) == set()

    log.append([Draft(stream="log", event=NoteTaken(text="so"), causation_id="nothing")])

    assert found(log) == {"foreign"}


def test_a_blob_that_was_erased_is_not_missed(log):
    """Its event reads as one of an unknown type, tables fold as they were, and the next one missing is missed."""
    one, other = (id_ for (id_,) in log.rows("select id from blobs where cast(content as text) like '%turn%' limit 2"))
    without(log, one)
    assert "reference" in found(log)

    log.append([Draft(stream="log", event=BlobsErased(ids=(one,), why="a test"))])

    assert found(log) == set()
    assert any(isinstance(record.event, Unknown) for record in log.read())
    without(log, other)
    assert "reference" in found(log)


def test_events_that_cannot_be_read_are_told_one_by_one(log):
    """However many a page holds."""
    damaged(log, "update events set data = '{}' where position in (10, 17)")

    assert [finding.where for finding in verify(log) if finding.what == "event"] == ["10", "17"]


def test_every_blob_that_is_missing_is_missed(log):
    """One by one: the newest link of a chain has nobody who points at it but its event."""
    blobs = log.rows("select place, id, content from blobs")
    assert len(blobs) > 5

    for place, id_, content in blobs:
        without(log, id_)
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

    assert rebuild(log.path, [rollouts]) == 25
    assert {finding.where for finding in verify(log)} == {"calls.calls"}
    rebuild(log.path, [calls])
    assert list(verify(log)) == []


def test_a_rebuild_that_fails_changes_nothing(log):
    """It is one transaction."""

    class Broken:
        name, version, tables, hears = CORE[0].name, CORE[0].version, CORE[0].tables, CORE[0].hears

        def apply(self, record, db):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        rebuild(log.path, [Broken()])

    assert list(verify(log)) == []


@pytest.mark.parametrize("deep", [False, True])
def test_a_large_log_takes_no_more_memory_than_a_page_of_it(tmp_path, deep):
    """Neither the events, nor the tables, nor what they were folded into again."""
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        for start in range(0, 4000, 500):
            numbers = range(start, start + 500)
            log.append(
                [
                    Draft(
                        stream=f"rollout/ro-{number}",
                        event=RolloutEnqueued(
                            rollout_id=f"ro-{number}",
                            input={"n": number},
                            task_id="ta-1",
                            metadata={"text": "x" * 8000},
                        ),
                    )
                    for number in numbers
                ]
            )
        log.codec.forget()

        tracemalloc.start()
        try:
            assert list(verify(log, deep=deep)) == []
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert most < 16e6 < log.path.stat().st_size / 3
