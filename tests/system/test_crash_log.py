"""Processes are killed at random moments, again and again: what was acknowledged is there, and the log is whole.

Writers and claimers, processes that fold the tables again beside them, and processes that bring an old file up to date.
"""

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agl_core.log import SqliteLog, rebuild, verify
from agl_core.log._layout import LAYOUT
from agl_core.projections import CORE
from agl_core.store import Store

PATIENCE = 60.0

WRITER = """
import asyncio, os, sys, threading
from agl_core.events import CallRecorded, Message, ModelCall, NoteTaken
from agl_core.ids import new_id
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import EnqueueRolloutRequest, Store

os.write(1, b"opening\\n")
log = SqliteLog(sys.argv[1], projections=CORE)
store = Store(log)

def acknowledged(records):
    os.write(1, "".join(f"{record.id}\\n" for record in records).encode())  # one write: threads do not mix lines

def notes(name):
    while True:
        acknowledged(log.append([Draft(stream=f"run/{name}", event=NoteTaken(text=str(part))) for part in range(3)]))

def calls(name):
    history = ()
    for number in range(1_000_000):
        history = (*history, Message(role="user", content=f"{name} {number} " + "x" * 300))[-20:]
        asked = ModelCall(model="m", messages=history, prompt_token_ids=tuple(range(number % 2000)))
        ids = {"call_id": new_id("ca"), "rollout_id": name, "attempt_id": "at-1"}
        event = CallRecorded(**ids, call=asked, started_at=0, latency=0.0)
        acknowledged(log.append([Draft(stream=f"rollout/{name}", event=event, key=ids["call_id"])]))

async def rollouts(name):
    while True:
        await store.enqueue([EnqueueRolloutRequest(input=number) for number in range(3)])
        for _ in range(3):
            taken = await store.dequeue_rollout(name, timeout=None)
            acknowledged([await store.add_reward(taken.rollout_id, 0.5, attempt_id=taken.attempt_id)])
            await store.finish_attempt(taken.attempt, "completed")

name = new_id("w")
for work in (notes, notes, calls):
    threading.Thread(target=work, args=(f"{name}-{threading.active_count()}",), daemon=True).start()
asyncio.run(rollouts(name))
"""


REBUILDER = """
import os, sys
from agl_core.log import rebuild
from agl_core.projections import CORE

while True:
    os.write(1, b"rebuilding\\n")
    rebuild(__import__("pathlib").Path(sys.argv[1]), CORE)
"""

MIGRATOR = """
import os, shutil, sys
from pathlib import Path
from agl_core.log import rebuild
from agl_core.projections import CORE

old, folder = map(Path, sys.argv[1:])
for number in range(1_000_000):
    new = folder / f"{number}.db"
    shutil.copy(old, new)
    os.write(1, f"{new}\\n".encode())
    rebuild(new, CORE)
"""


class Victim:
    """A process that works until it is killed, and tells each fact that was acknowledged."""

    def __init__(self, program, *arguments):
        self.told = []
        self._more = threading.Condition()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", program, *map(str, arguments)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def _listen(self):
        for line in self._process.stdout:
            if line.endswith(b"\n"):  # the last one may be cut off
                with self._more:
                    self.told.append(line.decode().strip())
                    self._more.notify()

    def wait_for(self, lines):
        """Until it has told so much; an end of its own would be a mistake."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.told) >= lines, PATIENCE), "the victim is stuck"

    def kill(self, *, after=0.0):
        """SIGKILL, a moment later; what it told before."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(after)
        assert self._process.poll() is None, "the victim ended by itself"
        self._process.kill()
        self._process.wait(PATIENCE)
        self._listening.join()
        self._process.stdout.close()
        return self.told


@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        pytest.param(20260701, 60, marks=pytest.mark.slow),
        pytest.param(20260702, 1000, marks=pytest.mark.soak),
    ],
)
def test_what_was_acknowledged_survives_every_kill(tmp_path, seed, kills):
    """Positions have no gap, no batch is torn, tables fold from the facts, no rollout is lost or held twice."""
    chance = random.Random(seed)
    path = tmp_path / "log.db"
    acknowledged = set()

    for kill in range(1, kills + 1):
        writers = [Victim(WRITER, path) for _ in range(chance.choice([1, 1, 2]))]
        # One line is told before the file is opened: some die there, while they make it or mend it.
        for writer in writers:
            writer.wait_for(chance.choice([1, 2, chance.randrange(3, 300), chance.randrange(3, 300)]))
        if kill % 4 == 0 and path.stat().st_size:
            rebuilder = Victim(REBUILDER, path)
            rebuilder.wait_for(chance.choice([1, 2]))
            rebuilder.kill(after=chance.uniform(0, 0.05))
        for writer in writers:
            acknowledged.update(writer.kill()[1:])
        _check(path, acknowledged, fully=kill % 10 == 0)

    print(f"seed {seed}: {kills} rounds of kills, {len(acknowledged)} facts acknowledged, all there")
    assert len(acknowledged) > 10 * kills
    _check_that_the_rest_can_be_done(path)


def _check(path, acknowledged, *, fully):
    with SqliteLog(path, projections=CORE) as log:
        kept = {id_ for (id_,) in log.rows("select id from events")}
        assert acknowledged <= kept
        assert log.head() == len(kept)
        torn = "select stream from events where stream like 'run/%' group by stream having count(*) % 3 <> 0"
        assert log.rows(torn) == []
        held_twice = "select rollout_id from attempts where ended_at is null group by 1 having count(*) > 1"
        assert log.rows(held_twice) == []

        Store(log).close()  # clears up after the dead

        lost = (
            "select rollout_id from rollouts where status not in ('succeeded', 'failed', 'cancelled') "
            "except select rollout_id from queue"
        )
        assert log.rows(lost) == []
        assert log.rows("select * from in_flight") == []
        if fully:
            assert list(verify(log)) == []


@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        pytest.param(20260703, 24, marks=pytest.mark.slow),
        pytest.param(20260704, 400, marks=pytest.mark.soak),
    ],
)
def test_a_file_that_is_brought_up_to_date_is_old_or_new(tmp_path, seed, kills):
    """Whenever its process dies: no step is half taken, no fact is lost, and the next process takes the rest."""
    chance = random.Random(seed)
    old = tmp_path / "old.db"
    facts = _an_old_log(old, calls=1500)
    found = []

    for kill in range(kills):
        (folder := tmp_path / str(kill)).mkdir()
        victim = Victim(MIGRATOR, old, folder)
        victim.wait_for(chance.choice([1, 2]))
        new = victim.kill(after=chance.uniform(0, 0.2))[-1]

        with contextlib.closing(sqlite3.connect(new)) as db:
            found.append(db.execute("pragma user_version").fetchone()[0])
            assert db.execute("select * from events").fetchall() == facts
        rebuild(Path(new), CORE)
        with SqliteLog(new, projections=CORE) as log:
            assert list(verify(log)) == []
        shutil.rmtree(folder)

    print(
        f"seed {seed}: {kills} kills, found at layout 1 {found.count(1)} times, at {LAYOUT} {found.count(LAYOUT)} times"
    )
    assert set(found) == {1, LAYOUT}


def _an_old_log(path, *, calls):
    """The first layout, with so many calls that to bring it up takes a while; its facts."""
    shutil.copy(Path(__file__).parents[1] / "corpus" / "layout-1.db", path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        place = "select max(position) from events"
        one = "select * from events where type = 'call.recorded' and key is not null limit 1"
        _, _, _, _, type_, schema, data, *_ = db.execute(one).fetchone()
        (head,) = db.execute(place).fetchone()
        for number in range(calls):
            said = data.replace("ca-0-0", f"ca-x{number}")
            row = (head + 1 + number, f"id-{number}", "run/x", number + 1, type_, schema, said)
            db.execute("insert into events values (?, ?, ?, ?, ?, ?, ?, null, null, null, 'x', 0, 0)", row)
        db.commit()
        return db.execute("select * from events").fetchall()


def _check_that_the_rest_can_be_done(path):
    """Every rollout that was ever enqueued comes to an end."""

    async def work_off(store):
        while taken := await store.dequeue_rollout():
            await store.finish_attempt(taken.attempt, "completed")

    with SqliteLog(path, projections=CORE) as log:
        store = Store(log)
        asyncio.run(work_off(store))
        store.close()

        assert log.rows("select status, count(*) > 0 from rollouts group by 1") == [("succeeded", 1)]
        assert list(verify(log)) == []
