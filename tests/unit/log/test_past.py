"""What a log gives of its past, and what it does not."""

import resource
import tempfile
import threading
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.errors import BadValue, LogFull, LogReadOnly
from agl_core.events import NoteTaken, RolloutDeleted, RolloutEnqueued, Unknown
from agl_core.export import export_log
from agl_core.log import Past, SqliteLog, compact
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import Queries


def enqueued(name, text="a task"):
    """It was handed out."""
    event = RolloutEnqueued(rollout_id=name, input={"q": text}, task_id="ta-1")
    return Draft(stream=f"rollout/{name}", event=event)


@pytest.fixture
def log(tmp_path):
    """Three rollouts and a note."""
    with agl.open_log(str(tmp_path / "log.db")) as log:
        log.append([enqueued("ro-1"), enqueued("ro-2"), Draft(stream="log", event=NoteTaken(text="a"))])
        log.append([enqueued("ro-3")])
        yield log


@pytest.mark.parametrize("position", [5, -1, True, 1.5, "2", None])
def test_what_is_no_position_is_refused_with_those_there_are(log, position):
    """A position beyond the end has not happened yet."""
    with pytest.raises(BadValue, match="positions are 1 to 4"):
        log.at(position)


def test_a_past_has_a_past_of_its_own(log):
    """And knows nothing of what came after it."""
    assert log.at(3).at(1).head() == 1
    with pytest.raises(BadValue, match="positions are 1 to 3"):
        log.at(3).at(4)


def test_nothing_is_written_to_the_past(log):
    """It says where it ends, and what can be written to."""
    with pytest.raises(LogReadOnly, match="as it was at position 2"):
        log.at(2).append([enqueued("ro-4")])


def test_before_the_first_event_there_is_nothing(log):
    """Tables are there, and empty."""
    assert log.at(0).rows("select * from rollouts") == []
    assert log.at(0).head() == 0


def test_any_query_sees_the_past(log):
    """Tables, facts, blobs and seals, by whatever way they are asked for; the log's own key is the same."""
    past = log.at(2)

    with past.query("select count(*), max(position) from events") as answer:
        assert list(answer.rows) == [(2, 2)]
    with past.query("select count(*) from rollouts") as answer:
        assert list(answer.rows) == [(2,)]
    assert past.rows("select count(*) from seals") == [(0,)]  # it stands behind the note, which came with them
    assert past.secret() == log.secret()
    assert past.artefacts == log.artefacts
    assert Queries(past).totals()["total_rollouts"] == 2


def test_the_past_of_one_rollout_is_folded_from_its_own_facts(log):
    """However many others there are."""
    past = log.at(4, streams=["rollout/ro-2"])

    assert past.rows("select rollout_id from rollouts") == [("ro-2",)]
    assert past.head() == 4
    assert log.at(4).within("rollout/ro-2") is past


def test_the_same_past_is_folded_once(log, monkeypatch):
    """And a later one goes on from where it came to."""
    folded = []
    apply = CORE[0].apply
    monkeypatch.setattr(
        type(CORE[0]), "apply", lambda _self, record, db: folded.append(record.position) or apply(record, db)
    )

    for position in (2, 2, 4, 2, 4):
        log.at(position).rows("select 1")

    assert folded == [1, 2, 4]


def test_nothing_is_left_of_a_past(log, tmp_path, monkeypatch):
    """When its log is closed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    Path(tempfile.tempdir).mkdir()
    log.at(2).rows("select 1")
    log.at(3)
    assert len(list(Path(tempfile.tempdir).iterdir())) == 2

    log.close()

    assert list(Path(tempfile.tempdir).iterdir()) == []


def test_the_past_of_a_log_that_was_closed_is_refused(log):
    """It ends with its log."""
    past = log.at(2)
    log.close()

    with pytest.raises(BadValue, match="was closed"):
        past.rows("select 1")


def test_where_its_tables_find_no_room_the_log_is_not_blamed(log):
    """It says which file cannot grow; with room, it is folded after all."""
    past = log.at(2)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, usual[1]))
    try:
        with pytest.raises(LogFull, match=r"tables\.db"):
            past.rows("select * from rollouts")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)

    assert len(past.rows("select * from rollouts")) == 2


def test_what_was_erased_later_cannot_be_read_in_the_past(tmp_path):
    """Its tables are folded all the same; the fact is there, without what is gone."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        log.append([enqueued("ro-1", text="secret" * 1000), enqueued("ro-2")])
        log.append([Draft(stream="rollout/ro-1", event=RolloutDeleted(rollout_id="ro-1"))])
    compact(path, projections=CORE)

    with SqliteLog(path, readonly=True, projections=CORE) as log:
        past = log.at(2)

        assert [type(record.event) for record in past.read()] == [Unknown, RolloutEnqueued]
        assert past.rows("select rollout_id, hidden from rollouts") == [("ro-1", 0), ("ro-2", 0)]


def test_an_export_has_the_same_past(log, tmp_path):
    """Position by position."""
    moved = export_log(log, tmp_path / "run.jsonl")

    with agl.open_log(str(moved.path), readonly=True) as exported:
        for position in range(5):
            asked = "select rollout_id, status, position from rollouts order by 1"
            assert exported.at(position).rows(asked) == log.at(position).rows(asked)


def test_the_past_stands_still_while_others_write(log):
    """Each answer is the same, and no writer waits for it."""
    going = threading.Event()

    def write():
        for number in range(40):
            log.append([enqueued(f"ro-late-{number}")])
        going.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not going.is_set():
        seen.add((log.at(2).head(), str(log.at(2).rows("select * from rollouts"))))
    writer.join()

    assert len(seen) == 1
    assert isinstance(log.at(44), Past)
