"""Writers are killed at random moments, again and again: what was acknowledged is there, and the log is whole."""

import asyncio
import os
import random
import subprocess
import sys
import threading

import pytest

from agl_core.log import SqliteLog, verify
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


class Writer:
    """A process that writes until it is killed, and tells each fact that was acknowledged."""

    def __init__(self, path):
        self.told = []
        self._more = threading.Condition()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", WRITER, str(path)]
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
            assert self._more.wait_for(lambda: len(self.told) >= lines, PATIENCE), "the writer is stuck"

    def kill(self):
        """SIGKILL; what it acknowledged before."""
        assert self._process.poll() is None, "the writer ended by itself"
        self._process.kill()
        self._process.wait(PATIENCE)
        self._listening.join()
        self._process.stdout.close()
        return self.told[1:]


@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        pytest.param(20260701, 30, marks=pytest.mark.slow),
        pytest.param(20260702, 500, marks=pytest.mark.soak),
    ],
)
def test_what_was_acknowledged_survives_every_kill(tmp_path, seed, kills):
    """Positions have no gap, no batch is torn, tables fold from the facts, no rollout is lost or held twice."""
    chance = random.Random(seed)
    path = tmp_path / "log.db"
    acknowledged = set()

    for kill in range(1, kills + 1):
        writers = [Writer(path) for _ in range(chance.choice([1, 1, 2]))]
        # One line is told before the file is opened: some die there, while they make it or mend it.
        for writer in writers:
            writer.wait_for(chance.choice([1, 2, chance.randrange(3, 300), chance.randrange(3, 300)]))
        for writer in writers:
            acknowledged.update(writer.kill())
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
