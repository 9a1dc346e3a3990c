"""Sixteen processes write, sixty-four readers follow: nobody is turned away, nobody is passed over, nothing is torn."""

import json
import os
import subprocess
import sys
import threading

from agl_core.log import SqliteLog, verify
from agl_core.projections import CORE

WRITERS, READING_PROCESSES, READERS_EACH = 16, 8, 8
ENOUGH = 4000
"""Facts after which the writers are told to stop."""

WRITER = """
import json, sys, threading, time
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft

log = SqliteLog(sys.argv[1], projections=CORE)
stop = threading.Event()
print("ready", flush=True)
sys.stdin.readline()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
waits = []
while not stop.is_set():
    before = time.perf_counter()
    log.append([Draft(stream=f"run/{sys.argv[2]}", event=NoteTaken(text=str(len(waits)))) for _ in range(2)])
    waits.append(time.perf_counter() - before)
log.close()
print(json.dumps(waits))
"""

READER = """
import sys, threading
from agl_core.log import SqliteLog
from agl_core.projections import CORE

log = SqliteLog(sys.argv[1], readonly=True, projections=CORE)
stop = threading.Event()
wrong = []

def follow():
    seen = 0
    while True:
        is_last = stop.is_set()
        for record in log.read(after=seen):
            if record.position != seen + 1:
                wrong.append((seen, record.position))
            seen = record.position
        if is_last:
            done.append(seen)
            return

done = []
readers = [threading.Thread(target=follow) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
sys.stdin.readline()
for reader in readers:
    reader.start()
sys.stdin.readline()
stop.set()
for reader in readers:
    reader.join()
print(wrong, sorted(set(done)), len(done))
"""


class Guest:
    """A process that begins and stops when it is told to."""

    def __init__(self, program, *arguments):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", program, *map(str, arguments)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def is_ready(self):
        """It has opened the log."""
        return self._process.stdout.readline() == "ready\n"

    def tell(self):
        """Begin; then stop."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def said(self):
        """Its last words; it ended by itself, and well."""
        out, _ = self._process.communicate(timeout=120)
        assert self._process.returncode == 0
        return out


def test_a_crowd_shares_one_file(tmp_path):
    """No one hears "database is locked", each gets its turn, and every reader sees every fact once and in order."""
    path = tmp_path / "log.db"
    writers = [Guest(WRITER, path, number) for number in range(WRITERS)]  # all of them at a file that is not there yet
    with SqliteLog(path, projections=CORE) as log:
        readers = [Guest(READER, path, READERS_EACH) for _ in range(READING_PROCESSES)]
        assert all(guest.is_ready() for guest in [*writers, *readers])

        for guest in [*readers, *writers]:
            guest.tell()
        _wait_for(log, ENOUGH)
        for writer in writers:
            writer.tell()
        waits = [json.loads(writer.said()) for writer in writers]
        for reader in readers:
            reader.tell()
        seen = [reader.said().strip() for reader in readers]

        head = log.head()
        assert head == 2 * sum(map(len, waits)) >= ENOUGH
        assert seen == [f"[] [{head}] {READERS_EACH}"] * READING_PROCESSES
        assert list(verify(log)) == []

    turns = sorted(map(len, waits))
    slow = sorted(wait for each in waits for wait in each)
    print(
        f"{WRITERS} write, {READING_PROCESSES * READERS_EACH} read: {head} facts, {turns[0]} to {turns[-1]} each, "
        f"waits p50 {slow[len(slow) // 2] * 1e3:.1f} ms, p99 {slow[len(slow) * 99 // 100] * 1e3:.0f} ms, "
        f"longest {slow[-1] * 1e3:.0f} ms"
    )
    assert turns[0] > turns[-1] / 10, "somebody was passed over"


def _wait_for(log, count):
    """Until the log has so many facts, whoever writes them."""
    there = threading.Event()
    unsubscribe = log.subscribe(lambda records: there.set() if records[-1].position >= count else None)
    with log.waiting():
        assert log.head() >= count or there.wait(120)
    unsubscribe()
