"""What deleted rollouts alone needed can be erased, in the file or in a copy, and the log stays what it was."""

import contextlib
import sqlite3
import threading

import pytest

from agl_core.errors import BadValue, ContentErased, LogBusy, LogExists
from agl_core.events import (
    AttemptStarted,
    CallRecorded,
    Message,
    ModelCall,
    NoteTaken,
    RolloutDeleted,
    RolloutEnqueued,
    Unknown,
)
from agl_core.log import SqliteLog, compact, copy, vacuum, verify
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store._queries import Queries

COMMON = Message(role="user", content="what all are asked " * 50)


def rollout(number, *, turns=20):
    """A rollout that begins as all do, and goes on alone."""
    ids = {"rollout_id": f"ro-{number}", "attempt_id": f"at-{number}"}
    said = (COMMON, *(Message(role="user", content=f"{number} {turn} " * 100) for turn in range(turns)))
    call = ModelCall(model="m", messages=said, prompt_token_ids=(*range(256), *range(number, number + 2000)))
    events = [
        RolloutEnqueued(rollout_id=ids["rollout_id"], input={"task": number}, task_id="ta-1"),
        AttemptStarted(**ids, sequence=1, worker_id="wk-1", token=1),
        CallRecorded(call_id=f"ca-{number}", call=call, **ids, started_at=0, latency=0.0),
    ]
    return [Draft(stream=f"rollout/ro-{number}", event=event) for event in events]


def deleted(number):
    """Nobody wants it any more."""
    return Draft(stream=f"rollout/ro-{number}", event=RolloutDeleted(rollout_id=f"ro-{number}"))


@pytest.fixture
def log(tmp_path):
    """Five rollouts, of which two are deleted."""
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        for number in range(5):
            log.append(rollout(number))
        log.append([deleted(1), deleted(3)])
        yield log


def calls(log):
    """The calls that can be read, by rollout."""
    return {one.event.rollout_id: one.event for one in log.read() if isinstance(one.event, CallRecorded)}


# --- in the file


def test_what_deleted_rollouts_alone_needed_goes(log):
    """Others lose nothing, the tables stay, and the log says what went."""
    before, kept = log.rows("select * from rollouts"), calls(log)
    size = log.rows("select count(*), sum(length(content)) from blobs")[0]

    done = compact(log.path, projections=CORE)

    left = log.rows("select count(*), sum(length(content)) from blobs")[0]
    assert (done.rollouts, done.blobs, done.bytes) == (2, size[0] - left[0], size[1] - left[1])
    assert done.blobs > 40
    log.codec.forget()
    assert calls(log) == {id_: kept[id_] for id_ in ("ro-0", "ro-2", "ro-4")}
    assert log.rows("select * from rollouts") == before
    assert sum(len(record.event.ids) for record in log.read(types=["blobs.erased"])) == done.blobs
    assert list(verify(log)) == []


def test_an_event_that_lost_blobs_reads_as_one_of_an_unknown_type(log):
    """With its data as the file has it."""
    compact(log.path, projections=CORE)
    log.codec.forget()

    *_, call, _ = log.read(stream="rollout/ro-1")

    assert isinstance(call.event, Unknown)
    assert call.event.name == "call.recorded"
    assert call.event.data["call_id"] == "ca-1"


def test_a_trace_of_what_was_erased_is_refused(log):
    """By its name: a story with holes would be learnt from. Others are as they were."""
    ask = Queries(log)
    before = ask.traces(["ro-0", "ro-4"])
    compact(log.path, projections=CORE)
    log.codec.forget()

    with pytest.raises(ContentErased, match="rollout ro-3"):
        ask.traces(["ro-0", "ro-3"])

    assert ask.traces(["ro-0", "ro-4"]) == before


def test_a_dry_run_says_and_does_nothing(log):
    """The same numbers."""
    would = compact(log.path, is_dry=True)

    assert log.head() == 17
    assert compact(log.path, projections=CORE) == would


def test_a_second_compaction_finds_nothing(log):
    """And writes nothing."""
    compact(log.path, projections=CORE)
    head = log.head()

    assert compact(log.path, projections=CORE).blobs == 0
    assert log.head() == head


def test_what_comes_again_is_kept_again(log):
    """A writer that knew the blob looks whether it is still there."""
    compact(log.path, projections=CORE)

    again = rollout(1)
    log.append([Draft(stream="rollout/ro-9", event=draft.event) for draft in again[2:]])

    assert "reference" not in {finding.what for finding in verify(log)}


def test_a_writer_that_refers_to_a_blob_meanwhile_keeps_it(log):
    """Which go is settled in the transaction that erases them."""
    done = threading.Event()

    def write():
        number = 100
        while not done.is_set():
            number += 1
            shared = rollout(1)[2].event.call
            ids = {"rollout_id": f"ro-{number}", "attempt_id": f"at-{number}"}
            event = CallRecorded(call_id=f"ca-{number}", call=shared, **ids, started_at=0, latency=0.0)
            log.append([Draft(stream=f"rollout/ro-{number}", event=event), *rollout(number, turns=2), deleted(number)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            compact(log.path, projections=CORE)
    finally:
        done.set()
        writer.join()
    compact(log.path, projections=CORE)

    assert list(verify(log)) == []


def test_space_is_given_back_when_nobody_else_has_the_log(log):
    """Anybody would be disturbed."""
    compact(log.path, projections=CORE)
    with pytest.raises(LogBusy):
        vacuum(log.path)
    log.close()

    assert vacuum(log.path) > 50_000

    with SqliteLog(log.path, projections=CORE) as again:
        assert again.rows("pragma journal_mode") == [("wal",)]
        assert list(verify(again)) == []


# --- in a copy


def test_an_erased_rollout_keeps_its_places_and_nothing_else(log, tmp_path):
    """The envelope and the seals hold; the rollout is in no table, and the copy says why."""
    before = log.rows("select position, id, stream, version, type from events")

    done = copy(log.path, tmp_path / "copy.db", erase=["rollout/ro-0"], why="somebody asked", projections=CORE)

    assert (done.events, done.erased) == (17, {"rollout/ro-0": 3})
    with SqliteLog(tmp_path / "copy.db", projections=CORE) as made:
        assert list(verify(made)) == []
        assert made.rows("select position, id, stream, version, type from events where position <= 17") == before
        assert made.rows("select hash from seals where position = 17") == log.rows(
            "select hash from seals where position = 17"
        )
        assert all(set(record.event.data) == {"erased"} for record in made.read(stream="rollout/ro-0"))
        assert made.rows("select count(*) from rollouts where rollout_id = 'ro-0'") == [(0,)]
        assert made.rows("select count(*) from attempts where rollout_id = 'ro-0'") == [(0,)]
        (note,) = made.read(types=["note.taken"])
        assert note.event.data == {"erased": "rollout/ro-0", "events": 3, "why": "somebody asked"}
        assert made.secret() == log.secret()
        kept = calls(log)
        assert calls(made) == {id_: one for id_, one in kept.items() if id_ != "ro-0"}


def test_nothing_of_it_is_left_in_the_bytes(log, tmp_path):
    """Nor in what the first event brought for all."""
    secret = "0 7 " * 10

    copy(log.path, tmp_path / "copy.db", erase=["rollout/ro-0"], projections=CORE)
    log.close()

    assert secret.encode() in log.path.read_bytes()
    assert secret.encode() not in (tmp_path / "copy.db").read_bytes()
    assert b"what all are asked" in (tmp_path / "copy.db").read_bytes()


def test_a_copy_of_a_copy_still_has_its_seals(log, tmp_path):
    """What was erased once stays so, and another may go."""
    copy(log.path, tmp_path / "one.db", erase=["rollout/ro-0"], projections=CORE)

    copy(tmp_path / "one.db", tmp_path / "two.db", erase=["rollout/ro-0", "rollout/ro-2"], projections=CORE)

    with SqliteLog(tmp_path / "two.db", projections=CORE) as made:
        assert list(verify(made)) == []


def test_a_compacted_log_can_be_copied(log, tmp_path):
    """What is missed there is named there."""
    compact(log.path, projections=CORE)

    copy(log.path, tmp_path / "copy.db", erase=["rollout/ro-0"], projections=CORE)

    with SqliteLog(tmp_path / "copy.db", projections=CORE) as made:
        assert list(verify(made)) == []


def test_the_source_is_not_touched(log, tmp_path):
    """Not by a byte."""
    log.close()
    before = log.path.read_bytes()

    copy(log.path, tmp_path / "copy.db", erase=["rollout/ro-0"])

    assert log.path.read_bytes() == before


@pytest.mark.parametrize("stream", ["rollout/ro-99", "log", "ro-0"])
def test_what_cannot_be_erased_is_refused(log, tmp_path, stream):
    """Before anything is made."""
    log.append([Draft(stream="log", event=NoteTaken(text="x"))])

    with pytest.raises(BadValue, match="erase"):
        copy(log.path, tmp_path / "copy.db", erase=[stream])

    assert not (tmp_path / "copy.db").exists()


def test_a_copy_is_written_over_nothing(log, tmp_path):
    """What is there stays."""
    with pytest.raises(LogExists):
        copy(log.path, log.path)


def test_a_change_in_a_copy_shows(log, tmp_path):
    """An erased event proves nothing of itself, and holds the seals of its neighbours."""
    copy(log.path, tmp_path / "copy.db", erase=["rollout/ro-0"], projections=CORE)
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db", isolation_level=None)) as db:
        db.execute("drop trigger events_stay")
        db.execute("update events set data = replace(data, 'b2:', 'b2:0') where position = 1")

    with SqliteLog(tmp_path / "copy.db", readonly=True) as made:
        assert "seal" in {finding.what for finding in verify(made, deep=False)}
