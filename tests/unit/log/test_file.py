"""The file: private, append-only by its own rules, and refused when it cannot be trusted."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agl_core.errors import BadPayload, LogCorrupt, LogNotFound, LogReadOnly, LogTooNew, LogUnsupported
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog, _layout
from agl_core.projections import CORE
from agl_core.record import Draft

INSERT = "insert into events values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def note(text="x", **fields):
    """The smallest fact there is."""
    return Draft(stream="log", event=NoteTaken(text=text), **fields)


@pytest.fixture
def path(tmp_path):
    """A log of three notes, closed."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        log.append([note("a"), note("b"), note("c")])
    return path


@pytest.fixture
def bare(path):
    """The file in the hands of somebody who knows nothing of us."""
    db = sqlite3.connect(path)
    yield db
    db.close()


# --- append-only


@pytest.mark.parametrize(
    "statement",
    [
        "update events set data = '{}' where position = 2",
        "update events set recorded_at = 0",
        "delete from events where position = 3",
        "delete from events",
        "insert or replace into events select * from events where position = 2",
        "update or replace events set position = 1 where position = 2",
    ],
)
def test_the_database_itself_refuses_to_change_a_fact(bare, path, statement):
    """Whoever opens the file, with whatever tool."""
    with pytest.raises(sqlite3.DatabaseError):
        bare.execute(statement)

    bare.rollback()
    with SqliteLog(path, projections=CORE) as log:
        assert [record.event.text for record in log.read()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "change",
    [
        {"position": 2},
        {"id": "the id of the first"},
        {"version": 1},
        {"key": "taken"},
        {"data": "{not json"},
        {"recorded_at": "yesterday"},
        {"type": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_database_itself_refuses_what_is_no_fact(bare, change):
    """A place twice, data that is no JSON, a column of another type."""
    first = dict(zip(_columns(bare), bare.execute("select * from events").fetchone(), strict=True))
    bare.execute(INSERT, [*{**first, "position": 4, "id": "another", "version": 4, "key": "taken"}.values()])
    row = {**first, "position": 5, "id": "a third", "version": 5} | change
    if "id" in change:
        row["id"] = first["id"]

    with pytest.raises(sqlite3.IntegrityError):
        bare.execute(INSERT, [*row.values()])


def _columns(db):
    return [name for _, name, *_ in db.execute("pragma table_info(events)")]


def test_the_columns_are_those_of_the_envelope(bare):
    """The documented view of an event, in its order."""
    assert _columns(bare) == [
        "position",
        "id",
        "stream",
        "version",
        "type",
        "schema",
        "data",
        "key",
        "causation_id",
        "correlation_id",
        "actor",
        "occurred_at",
        "recorded_at",
    ]


def test_the_file_is_in_wal_mode(bare):
    """So that readers do not hold up writers."""
    assert bare.execute("pragma journal_mode").fetchone() == ("wal",)


# --- who may look


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_files_are_private(tmp_path):
    """0600 in a folder of 0700 when we make it, beside files of SQLite's too."""
    path = tmp_path / "new" / "log.db"
    with SqliteLog(path) as log:
        log.append([note()])

        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert "log.db-wal" in modes


def test_a_folder_that_is_there_keeps_its_mode(tmp_path):
    """It is the user's."""
    tmp_path.chmod(0o755)

    SqliteLog(tmp_path / "log.db").close()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


# --- what cannot be opened


@pytest.mark.parametrize("readonly", [False, True])
def test_a_folder_is_no_log(tmp_path, readonly):
    """SQLite calls it a disk that fails; and nothing is put beside it."""
    path = tmp_path / "runs"
    path.mkdir()

    with pytest.raises(LogUnsupported, match="it is a folder"):
        SqliteLog(path, readonly=readonly)

    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_another_kind_is_refused(tmp_path):
    """And left as it was."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to have a header of one\n" * 20)
    before = path.read_bytes()

    with pytest.raises(LogCorrupt, match="agl log recover"):
        SqliteLog(path)

    assert path.read_bytes() == before


def test_an_sqlite_file_of_somebody_else_is_refused(tmp_path):
    """Its tables are not ours to add to."""
    path = tmp_path / "theirs.db"
    db = sqlite3.connect(path)
    db.execute("create table events (id integer)")
    db.commit()
    db.close()

    with pytest.raises(LogCorrupt, match=r"not a log of ours\. Name another file"):
        SqliteLog(path)


def test_an_sqlite_file_that_says_it_is_another_programs_is_refused(tmp_path):
    """By its application id, also when it is empty."""
    path = tmp_path / "theirs.db"
    db = sqlite3.connect(path)
    db.execute("pragma application_id = 42")
    db.execute("create table x (y)")
    db.close()

    with pytest.raises(LogCorrupt, match="not a log of ours"):
        SqliteLog(path)


def test_a_layout_of_a_later_release_is_refused(path, bare):
    """With what to do about it."""
    bare.execute("pragma user_version = 99")

    with pytest.raises(LogTooNew, match="upgrade agl-core") as refused:
        SqliteLog(path, projections=CORE)

    assert (refused.value.found, refused.value.known) == (99, _layout.LAYOUT)


@pytest.mark.parametrize("kept", [100, 5000, 20_000])
def test_a_file_cut_short_is_refused_or_reported(path, kept):
    """A damaged file never passes for a shorter log."""
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])

    with pytest.raises(LogCorrupt), SqliteLog(path, projections=CORE) as log:
        list(log.read())


def test_a_file_with_garbage_in_the_middle_is_corrupt(tmp_path):
    """Reading it says so, and names the file."""
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        log.append([note("x" * 500) for _ in range(500)])
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 20_000)

    with SqliteLog(path) as log, pytest.raises(LogCorrupt, match=r"log\.db"):
        list(log.read())


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    """Before anything is made."""
    (tmp_path / "file").write_text("")

    with pytest.raises(LogUnsupported, match="Choose a file"):
        SqliteLog(tmp_path / "file" / "log.db")


def test_reading_only_makes_no_file(tmp_path):
    """A log that is not there is not there."""
    with pytest.raises(LogNotFound, match="--log"):
        SqliteLog(tmp_path / "log.db", readonly=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_network_file_system_is_refused(tmp_path, monkeypatch, kind):
    """WAL needs memory that processes share."""
    _mounts(monkeypatch, tmp_path, kind)

    with pytest.raises(LogUnsupported, match=f"network file system.*{kind}"):
        SqliteLog(tmp_path / "log.db")


def test_a_local_disk_inside_a_network_mount_is_fine(tmp_path, monkeypatch):
    """The innermost mount is what counts."""
    (tmp_path / "local").mkdir()
    _mounts(monkeypatch, tmp_path, "nfs", inner="ext4")

    SqliteLog(tmp_path / "local" / "log.db").close()


def _mounts(monkeypatch, folder, kind, inner=None):
    table = f"/dev/root / ext4 rw 0 0\nserver:/x {folder} {kind} rw 0 0\n"
    if inner:
        table += f"/dev/sdb {folder}/local {inner} rw 0 0\n"
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self: table if str(self) == "/proc/mounts" else read(self))


def test_a_mount_with_a_space_in_its_name_is_known(tmp_path, monkeypatch):
    r"""The kernel writes it as \040."""
    folder = tmp_path / "my share"
    folder.mkdir()
    _mounts(monkeypatch, str(folder).replace(" ", "\\040"), "cifs")

    with pytest.raises(LogUnsupported, match="network file system"):
        SqliteLog(folder / "log.db")


def test_a_path_may_hold_what_urls_do_not(tmp_path):
    """Question marks, hashes, percent signs and spaces are names."""
    path = tmp_path / "a?mode=ro#b %20.db"

    with SqliteLog(path) as log:
        log.append([note()])

    assert path.exists()


def test_a_path_may_hold_letters_that_the_locale_has_not(tmp_path):
    """Then Python keeps their bytes as surrogates, which no URL can be made of as they are."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/l\xf6g.db"))

    with SqliteLog(path) as log:
        log.append([note()])

    assert path.exists()


# --- processes that come at once

_OPEN = """
import sys
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.events import NoteTaken
from agl_core.record import Draft
sys.stdin.readline()
with SqliteLog(sys.argv[1], projections=CORE) as log:
    log.append([Draft(stream="log", event=NoteTaken(text="here"))])
"""


def test_many_processes_may_make_the_file_at_once(tmp_path):
    """One makes it, the others find it made."""
    path = tmp_path / "log.db"
    others = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", _OPEN, str(path)], stdin=subprocess.PIPE, text=True)
        for _ in range(5)
    ]

    for other in others:
        other.stdin.write("go\n")
        other.stdin.close()

    assert [other.wait(60) for other in others] == [0] * 5
    with SqliteLog(path, projections=CORE) as log:
        assert log.head() == 5


# --- tables of others


class Extra:
    """A projection that a plugin brings."""

    name = "extra"
    version = 1
    tables = {"extra": "create table extra (n integer) strict"}  # noqa: RUF012 - as a plugin would write it
    hears = (NoteTaken,)

    def apply(self, record, db):
        """One row a record."""
        db.execute("insert into extra values (?)", (record.position,))


class Later(Extra):
    """The same of a later release."""

    version = 2


def test_new_tables_are_folded_from_the_start(path):
    """A plugin that is installed later sees all that happened."""
    with SqliteLog(path, projections=[*CORE, Extra()]) as log:
        log.append([note()])

        assert log.rows("select n from extra order by n") == [(1,), (2,), (3,), (4,)]


@pytest.mark.parametrize("projections", [CORE, [*CORE, Later()]], ids=["without", "later"])
def test_a_process_with_other_tables_may_read_and_not_write(path, projections):
    """They would fall behind, or mean two things."""
    SqliteLog(path, projections=[*CORE, Extra()]).close()

    with pytest.raises(LogReadOnly, match="extra"):
        SqliteLog(path, projections=projections)
    with SqliteLog(path, projections=projections, readonly=True) as log:
        assert log.head() == 3


def test_a_process_is_stopped_when_another_brings_tables(path):
    """Also one that had the file open before."""
    with SqliteLog(path, projections=CORE) as log, SqliteLog(path, projections=[*CORE, Extra()]):
        with pytest.raises(LogReadOnly, match="extra"):
            log.append([note()])

        assert log.head() == 3


# --- refused, and not damaged


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_too_big_for_a_column_is_refused(path, number):
    """The fact is wrong, the file is sound."""
    from agl_core.events import WorkerJoined

    with SqliteLog(path, projections=CORE) as log:
        with pytest.raises(BadPayload):
            log.append([Draft(stream="worker/w", event=WorkerJoined(worker_id="w", host="h", pid=number))])

        assert log.append([note()])[0].position == 4


def test_an_id_that_exists_already_is_refused(path):
    """Two rollouts cannot have one name."""
    from agl_core.events import RolloutEnqueued

    with SqliteLog(path, projections=CORE) as log:
        draft = Draft(stream="rollout/ro-1", event=RolloutEnqueued(rollout_id="ro-1", input=1, task_id="ta-1"))
        log.append([draft])

        with pytest.raises(BadPayload, match="rollout_id"):
            log.append([draft])
