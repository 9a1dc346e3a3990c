"""What happens at the edges: no space, no right to write, no file any more, a clock that goes back, what is very big.

A network file system is refused, as test_file.py says.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agl_core.clock import Still
from agl_core.errors import LogFull, LogGone
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog, copy, verify
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import EnqueueRolloutRequest, Store


def note(text="x", **fields):
    """The smallest fact there is."""
    return Draft(stream="log", event=NoteTaken(text=text), **fields)


def texts(log):
    """What the notes say."""
    return [record.event.text for record in log.read()]


def child(program, *arguments):
    """Run a program in a process of its own; what it printed."""
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# --- no space


@pytest.fixture
def full(tmp_path):
    """A log that may grow by a few pages and no more, and how to give it room."""
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        log.append([note("before")])
        db = log._writer._db  # the limit is the connection's
        pages = db.execute("pragma page_count").fetchone()[0]
        db.execute(f"pragma max_page_count = {pages + 4}")
        yield log, lambda: db.execute("pragma max_page_count = 1000000")


def test_without_space_nothing_is_half_written(full):
    """The one that does not fit is refused whole; what fits still lands, and with space all does."""
    log, make_room = full

    with pytest.raises(LogFull, match="make space"):
        log.append([note("small"), note("x" * 100_000)])

    log.append([note("small")])
    make_room()
    log.append([note("x" * 100_000)])
    assert [text[:6] for text in texts(log)] == ["before", "small", "xxxxxx"]
    assert list(verify(log)) == []


def test_without_space_those_who_share_a_commit_each_hear_what_became_of_theirs(full):
    """Whoever was told that it landed finds it, nobody else does."""
    log, make_room = full
    futures = {}
    with log._writer._writing:  # so that all of them wait, and go as one group
        for number in range(20):
            text = f"{number} " + ("x" * 100_000 if number == 10 else "")
            futures[text] = log.submit([note(text)])

    told = {text: future.exception(timeout=30) for text, future in futures.items()}
    make_room()

    assert any(told.values())
    assert {type(error) for error in told.values() if error} == {LogFull}
    assert set(texts(log)) == {"before"} | {text for text, error in told.items() if not error}
    assert list(verify(log)) == []


_LIMITED = """
import resource, sys
from agl_core.errors import LogFull
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft

def note(text):
    return [Draft(stream="log", event=NoteTaken(text=text))]

with SqliteLog(sys.argv[1], projections=CORE) as log:
    log.append(note("before"))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, most))
    try:
        log.append(note("x" * 5_000_000))
    except LogFull as error:
        print(error.code)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    log.append(note("after"))
"""


def test_a_file_that_may_not_grow_is_full_too(tmp_path):
    """A quota, or a limit on the size of files: the system says it in other words."""
    done = child(_LIMITED, tmp_path / "log.db")

    assert (done.returncode, done.stdout) == (0, "LOG_FULL\n"), done.stderr
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        assert texts(log) == ["before", "after"]
        assert list(verify(log)) == []


# --- no right to write

_NOBODY = """
import os, sys
import agl_core.cli._log, agl_core.projections
from agl_core.errors import LogReadOnly
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog, verify
from agl_core.projections import CORE
from agl_core.record import Draft

if os.getuid() == 0:  # to whom no permission is denied
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with SqliteLog(sys.argv[1], readonly=True, projections=CORE) as log:
    print(log.head(), len(list(log.read())), list(verify(log)))
try:
    SqliteLog(sys.argv[1], projections=CORE)
except LogReadOnly as error:
    print(error.code, "readonly=True" in str(error))
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("is_live", [False, True], ids=["closed", "as a writer left it"])
def test_in_a_folder_that_may_not_be_written_a_log_can_be_read(is_live):
    """And not be written, with the cure; be it on a medium that is read-only."""
    folder = Path(tempfile.mkdtemp(prefix="agl-test-"))  # others may not even enter a test's own folder
    try:
        kept = folder / "kept"
        with SqliteLog(folder / "live" / "log.db", projections=CORE) as log:
            log.append([note("a"), note("b")])
            if is_live:
                shutil.copytree(folder / "live", kept)
        if not is_live:
            shutil.copytree(folder / "live", kept)
        for file in kept.iterdir():
            file.chmod(0o444)
        kept.chmod(0o555)
        folder.chmod(0o755)

        done = child(_NOBODY, kept / "log.db")

        assert done.stdout == "2 2 []\nLOG_READ_ONLY True\n", done.stderr
    finally:
        kept.chmod(0o755)
        shutil.rmtree(folder)


# --- no file any more


@pytest.mark.parametrize("harm", ["removed", "replaced", "moved"])
def test_a_writer_notices_that_its_file_is_gone(tmp_path, harm):
    """Nothing is acknowledged into the void, by whatever way it would be written."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        log.append([note("before")])
        match harm:
            case "removed":
                path.unlink()
            case "moved":
                path.rename(tmp_path / "elsewhere.db")
            case "replaced":
                other = tmp_path / "other.db"
                SqliteLog(other, projections=CORE).close()
                other.replace(path)

        with pytest.raises(LogGone, match="nothing was written"):
            log.append([note()])
        with pytest.raises(LogGone):
            log.transact(lambda _view: [note()])
        with pytest.raises(LogGone):
            log.submit([note()]).result(timeout=30)


def test_more_readers_than_there_were_find_no_file(tmp_path):
    """Who reads already goes on; another one is told why not."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        log.append([note("before")])
        with log.reading() as db:
            path.rename(tmp_path / "elsewhere.db")

            assert db.execute("select count(*) from events").fetchone() == (1,)
            with pytest.raises(LogGone):
                log.rows("select 1")


def test_a_file_that_comes_back_is_written_again(tmp_path):
    """It is the same file, by whatever names it went."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        path.rename(tmp_path / "elsewhere.db")
        with pytest.raises(LogGone):
            log.append([note("void")])
        (tmp_path / "elsewhere.db").rename(path)

        log.append([note("back")])

        assert texts(log) == ["back"]
        assert list(verify(log)) == []


# --- a clock that goes back


def test_order_does_not_hang_on_the_clock(tmp_path):
    """Positions go on; times are those that were told."""
    clock = Still()
    with SqliteLog(tmp_path / "log.db", projections=CORE, clock=clock) as log:
        first = log.append([note("noon")])[0]
        clock.advance(-3600)
        second = log.append([note("an hour before")])[0]

        assert (first.position, second.position) == (1, 2)
        assert second.recorded_at == first.recorded_at - 3600 * 10**9
        assert texts(log) == ["noon", "an hour before"]
        assert list(verify(log)) == []


def test_a_lease_outlives_a_clock_that_goes_back(tmp_path):
    """Whoever works keeps his work, and its result counts; nobody else is given it."""

    async def work(store, clock):
        await store.enqueue([EnqueueRolloutRequest(input="x")])
        taken = await store.dequeue_rollout("wk-1")
        clock.advance(-3600)
        again = await store.dequeue_rollout("wk-2")
        await store.finish_attempt(taken.attempt, "completed")
        (rollout,) = await store.query_rollouts()
        return again, rollout.status

    clock = Still()
    with SqliteLog(tmp_path / "log.db", projections=CORE, clock=clock) as log:
        store = Store(log, clock=clock)
        try:
            again, status = asyncio.run(work(store, clock))
        finally:
            store.close()

    assert again is None
    assert status == "succeeded"


# --- what is very big


def test_ten_megabytes_are_a_fact_like_any_other(tmp_path):
    """Written, read, copied; neighbours are not in its way."""
    big = "0123456789" * 1_000_000
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        log.append([note("before")])
        log.append([Draft(stream="log", event=NoteTaken(text="big", data={"payload": big}))])
        log.append([note("after")])

        copy(log.path, tmp_path / "copy.db", projections=CORE)

        assert texts(log) == ["before", "big", "after"]
    with SqliteLog(tmp_path / "copy.db", projections=CORE) as made:
        (_, found, _) = made.read()
        assert found.event.data["payload"] == big
        assert list(verify(made)) == []


@pytest.mark.parametrize(
    "queued",
    [
        5_000,
        pytest.param(50_000, marks=pytest.mark.slow),
        pytest.param(1_000_000, marks=pytest.mark.soak),
    ],
)
def test_a_claim_costs_the_same_however_many_wait(tmp_path, queued):
    """Counted in steps of SQLite's machine, not in seconds; the longest waiting comes first."""
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        store = Store(log)
        try:
            few, first = asyncio.run(_claim(store, 100))
            many, then = asyncio.run(_claim(store, queued - 100))
        finally:
            store.close()

        assert many < 1.5 * few
        assert (first, then) == (0, 1)


async def _claim(store, more):
    """Let more wait, then take one: what it cost, and which it was."""
    for start in range(0, more, 10_000):
        number = min(10_000, more - start)
        known = store.log.rows("select count(*) from rollouts")[0][0]
        await store.enqueue([EnqueueRolloutRequest(input=known + one) for one in range(number)])
    steps = 0

    def step():
        nonlocal steps
        steps += 1
        return 0

    db = store.log._writer._db  # the steps are the connection's
    db.set_progress_handler(step, 10)
    taken = await store.dequeue_rollout("wk-1")
    db.set_progress_handler(None, 0)
    return steps, taken.input
