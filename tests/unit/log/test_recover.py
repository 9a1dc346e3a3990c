"""A damaged file gives up every event that can be read, says what it lost, and is not touched."""

import contextlib
import random
import shutil
import sqlite3

import pytest

from agl_core.errors import LogCorrupt, LogExists, LogNotFound
from agl_core.events import (
    AttemptStarted,
    BlobsErased,
    CallRecorded,
    CaptureLost,
    Message,
    ModelCall,
    NoteTaken,
    RolloutEnqueued,
)
from agl_core.log import Lost, SqliteLog, recover, verify
from agl_core.projections import CORE
from agl_core.record import Draft

PAGE = 4096
ROLLOUTS, CALLS = 30, 8


def facts():
    """Rollouts with chats that grow, and a note between."""
    for rollout in range(ROLLOUTS):
        ids = {"rollout_id": f"ro-{rollout}", "attempt_id": f"at-{rollout}"}
        stream = f"rollout/ro-{rollout}"
        yield stream, RolloutEnqueued(rollout_id=ids["rollout_id"], input={"n": rollout}, task_id="ta-1")
        yield stream, AttemptStarted(**ids, sequence=1, worker_id="wk-1", token=1)
        for turn in range(1, CALLS + 1):
            said = tuple(Message(role="user", content=f"{rollout} {number} " * 50) for number in range(turn))
            call = ModelCall(model="m", messages=said, prompt_token_ids=tuple(range(rollout, rollout + turn * 300)))
            fields = {**ids, "started_at": 0, "latency": 0.0}
            yield stream, CallRecorded(call_id=f"ca-{rollout}-{turn}", call=call, **fields)
        yield "log", NoteTaken(text="n" * 3000 if rollout % 5 else "n" * 9000)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A sound log, closed."""
    path = tmp_path_factory.mktemp("kept") / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        for stream, event in facts():
            log.append([Draft(stream=stream, event=event)])
    return path


@pytest.fixture
def path(kept, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copy(kept, tmp_path / "log.db")


def told(path):
    """Position to row of every event."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return {row[0]: row for row in db.execute("select * from events order by position")}


def pages(path, numbers, content):
    """Write `content` over pages of the file."""
    with path.open("r+b") as file:
        for number in numbers:
            file.seek(number * PAGE)
            file.write(content)


def mended(path):
    """What became of it: a sound log, whose events are those of the damaged one, and the source as it was."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    target = path.with_name("mended.db")
    report = recover(path, target, projections=CORE)
    with SqliteLog(target, projections=CORE) as log:
        assert list(verify(log)) == []
        log.append([Draft(stream="log", event=NoteTaken(text="on"))])
    after = {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.startswith("mended")}
    assert after == before
    return report, told(target)


def compared(report, found, whole):
    """Each place has its event, or a word that it is lost; how many are."""
    lost = {position for one in report.lost for position in range(one.first, one.last + 1)}
    for position, row in whole.items():
        if position <= report.events:
            if position in lost:
                assert found[position][4] == "capture.lost"
            else:
                assert found[position] == row
    return lost


def test_a_sound_log_is_copied_as_it_is(path, kept):
    """Rows, seals and the key."""
    whole = told(kept)

    report, found = mended(path)

    assert report.is_whole
    assert (report.events, report.sealed) == (len(whole), len(whole))
    assert compared(report, found, whole) == set()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["zeros", "garbage"])
def test_pages_that_are_lost_take_only_what_lay_on_them(path, kept, seed, kind):
    """Wherever they are in the file."""
    chance = random.Random(seed)
    last = path.stat().st_size // PAGE
    numbers = chance.sample(range(1, last), 5)
    pages(path, numbers, bytes(PAGE) if kind == "zeros" else chance.randbytes(PAGE))

    report, found = mended(path)

    assert len(compared(report, found, told(kept))) < 60


@pytest.mark.parametrize("seed", range(6))
def test_bytes_that_flipped_pass_for_nothing_else(path, kept, seed):
    """What can still be read, and is not what was recorded, is in a stretch that is said not to be proved."""
    chance = random.Random(seed)
    with path.open("r+b") as file:
        for _ in range(30):
            file.seek(chance.randrange(PAGE, path.stat().st_size))
            file.write(chance.randbytes(1))

    report, found = mended(path)

    whole = told(kept)
    known = {at for first, last in report.doubtful for at in range(first, last + 1)}
    known |= {at for one in report.lost for at in range(one.first, one.last + 1)}
    assert {at for at, row in whole.items() if at <= report.events and found[at] != row} <= known


def test_a_page_of_the_index_costs_no_event(path, kept):
    """The rows do not lie there."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        sql = "select rootpage from sqlite_master where tbl_name = 'events' and type = 'index'"
        roots = [root for (root,) in db.execute(sql)]
    pages(path, [root - 1 for root in roots], bytes(PAGE))

    report, found = mended(path)

    assert report.is_whole
    assert compared(report, found, told(kept)) == set()


@pytest.mark.parametrize("content", [bytes(PAGE), b"\xff" * PAGE])
def test_without_its_first_page_a_log_is_all_there(path, kept, content):
    """The schema lies there: what cannot be asked for by name is known by its shape."""
    pages(path, [0], content)
    with pytest.raises(LogCorrupt):
        SqliteLog(path, readonly=True)

    report, found = mended(path)

    assert report.is_whole
    assert compared(report, found, told(kept)) == set()


def test_without_its_first_page_what_was_only_in_the_write_ahead_log_is_there(tmp_path):
    """The newest events lie in it until they are moved."""
    live = tmp_path / "live"
    with SqliteLog(live / "log.db", projections=CORE) as log:
        for stream, event in list(facts())[:100]:
            log.append([Draft(stream=stream, event=event)])
        whole = told(log.path)
        taken = tmp_path / "taken"
        shutil.copytree(live, taken)
    pages(taken / "log.db", [0], bytes(PAGE))

    report, found = mended(taken / "log.db")

    assert report.events == 100
    assert compared(report, found, whole) == set()


def test_without_its_write_ahead_log_the_newest_events_are_gone(tmp_path):
    """Nothing in the file tells that they were: what was acknowledged lay there."""
    live = tmp_path / "live"
    with SqliteLog(live / "log.db", projections=CORE) as log:
        log.append([Draft(stream="log", event=NoteTaken(text=str(number))) for number in range(10)])
        with contextlib.closing(sqlite3.connect(log.path)) as db:
            db.execute("pragma wal_checkpoint(truncate)")
        log.append([Draft(stream="log", event=NoteTaken(text="newest"))])
        shutil.copytree(live, tmp_path / "taken")
    (tmp_path / "taken" / "log.db-wal").unlink()
    (tmp_path / "taken" / "log.db-shm").unlink()

    report, _ = mended(tmp_path / "taken" / "log.db")

    assert (report.events, report.is_whole) == (10, True)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_cut_short_gives_what_is_left(path, kept, share):
    """Also when SQLite refuses all of it."""
    whole = told(kept)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))

    report, found = mended(path)

    lost = compared(report, found, whole)
    assert len(whole) * (share - 0.2) < report.events - len(lost) < len(whole)


def test_what_was_changed_in_the_file_is_sealed_anew(path):
    """The seals before it hold; nobody can say what stood there, only that it was something else."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("drop trigger events_stay")
        db.execute("update events set actor = 'somebody' where position = 100")

    report, _ = mended(path)

    assert report.sealed == 99
    assert (report.lost, report.doubtful) == ((), ((100, 100),))
    assert not report.is_whole


def test_an_event_that_is_not_what_it_says_is_lost(path):
    """It would stop every reader; its place in its stream is known."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("drop trigger events_stay")
        db.execute("update events set data = '{}' where position = 1")

    report, found = mended(path)

    assert [(one.first, one.last) for one in report.lost] == [(1, 1)]
    assert found[1][2:5] == ("rollout/ro-0", 1, "capture.lost")


def test_a_place_of_which_a_bit_flipped_is_no_place(path, kept):
    """A log does not end at a position that is farther than everything that is known."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for name in ("events_stay", "events_last", "events_next"):
            db.execute(f"drop trigger {name}")
        db.execute("update events set position = position + (1 << 40) where position = 100")

    report, found = mended(path)

    assert [(one.first, one.last) for one in report.lost] == [(100, 100)]
    assert compared(report, found, told(kept)) == {100}


def test_a_stream_of_which_a_letter_changed_is_no_stream(path):
    """Its event stands in a stream that nothing else is in, and misses one in its own."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("drop trigger events_stay")
        db.execute("update events set stream = 'rollout/rp-3' where position = 40")

    report, found = mended(path)

    assert [(one.first, one.last) for one in report.lost] == [(40, 40)]
    assert found[40][2:5] == ("rollout/ro-3", 7, "capture.lost")


def test_a_blob_that_is_gone_is_named(path):
    """Its event stays as it is."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        (id_,) = db.execute("select id from blobs where place = 3 * (1 << 20)").fetchone()
        db.execute("delete from blobs where id = ?", (id_,))

    report, _ = mended(path)

    assert (report.lost, report.blobs) == ((), (id_,))
    with SqliteLog(path.with_name("mended.db"), readonly=True) as log:
        assert [record.event.ids for record in log.read(types=["blobs.erased"])] == [(id_,)]
        assert BlobsErased.type == "blobs.erased"


def test_lost_events_are_said_where_they_stood(path):
    """In the stream that misses a version there."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("drop trigger events_last")
        db.execute("delete from events where position in (5, 6, 7, 20)")

    report, found = mended(path)

    assert [(one.first, one.last) for one in report.lost] == [(5, 7), (20, 20)]
    assert [found[at][2:4] for at in (5, 6, 7, 20)] == [
        ("rollout/ro-0", 5),
        ("rollout/ro-0", 6),
        ("rollout/ro-0", 7),
        ("rollout/ro-1", 9),
    ]
    with SqliteLog(path.with_name("mended.db"), readonly=True) as log:
        (lost,) = log.read(after=4, until=5)
    assert isinstance(lost.event, CaptureLost)
    assert "position 5" in lost.event.why
    assert isinstance(report.lost[0], Lost)


def test_what_is_no_log_is_refused(tmp_path):
    """And nothing is made of it."""
    (tmp_path / "notes.txt").write_bytes(b"no database at all, and long enough to be one\n" * 500)

    with pytest.raises(LogCorrupt, match="nothing of a log"):
        recover(tmp_path / "notes.txt", tmp_path / "mended.db")
    with pytest.raises(LogNotFound):
        recover(tmp_path / "nothing.db", tmp_path / "mended.db")

    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_nothing_is_written_over(path):
    """What is at the other place stays."""
    with pytest.raises(LogExists):
        recover(path, path)
