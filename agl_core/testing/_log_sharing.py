"""What a log promises to many who write, read and listen at once, in this process and in others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from agl_core.errors import AglError, LogReadOnly
from agl_core.log import SqliteLog, View
from agl_core.record import Draft, Record
from agl_core.testing._facts import enqueued, note, text

__all__ = ["OpenLog", "Sharing"]

OpenLog = Callable[..., SqliteLog]

PATIENCE = 30.0
"""Seconds after which something that should come counts as lost."""

_WRITER = """
import sys
import agl_core
from agl_core.events import NoteTaken
from agl_core.record import Draft

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with agl_core.open_log(url) as log:
    for number in range(count):
        log.append([Draft(stream=f"run/{name}", event=NoteTaken(text=str(number)))])
"""


class Sharing:
    """Many writers, listening, opening again, closing."""

    # --- many at once

    def test_threads_leave_no_gap(self, log: SqliteLog) -> None:
        """Batches stay together, and each writer's own order is kept."""
        _in_threads(
            8,
            lambda name: [
                log.append([note(f"{batch}.{part}", stream=f"run/{name}") for part in range(3)]) for batch in range(20)
            ],
        )

        _assert_whole(list(log.read()), writers=8, each=60)
        batches = [(record.stream, text(record).split(".")[0]) for record in log.read()]
        assert all(batches[start] == batches[start + 2] for start in range(0, len(batches), 3))

    def test_processes_leave_no_gap(self, log: SqliteLog) -> None:
        """Several processes and this one write to the same log."""
        others = [_writer(log, name=str(number), count=30) for number in range(3)]
        for number in range(30):
            log.append([note(str(number), stream="run/3")])

        assert [_ended(other) for other in others] == [0, 0, 0]
        _assert_whole(list(log.read()), writers=4, each=30)

    def test_decisions_never_overlap(self, log: SqliteLog) -> None:
        """What a decision has seen is still so when its facts land."""

        def count(view: View) -> Sequence[Draft]:
            return [note(str(view.version("run/1") + 1), stream="run/1")]

        _in_threads(8, lambda _number: [log.transact(count) for _ in range(10)])

        assert [text(record) for record in log.read()] == [str(number) for number in range(1, 81)]

    # --- submitting

    def test_what_is_submitted_is_written_in_order(self, log: SqliteLog) -> None:
        """Each future holds its own records."""
        futures = [log.submit([note(str(number))]) for number in range(50)]

        assert [future.result(PATIENCE)[0].position for future in futures] == list(range(1, 51))

    def test_what_is_submitted_cannot_be_taken_back(self, log: SqliteLog) -> None:
        """Who gives up waiting neither unwrites it nor stops the writer."""
        future = log.submit([note("a")])
        future.cancel()

        log.append([note("b")])

        assert [text(record) for record in log.read()] == ["a", "b"]

    # --- listening

    def test_a_listener_hears_every_record_once_and_in_order(self, log: SqliteLog) -> None:
        """Also while many threads write."""
        log.append([note("before")])
        heard = _Heard(until=101)
        log.subscribe(heard)

        _in_threads(4, lambda _number: [log.append([note("x")]) for _ in range(25)])

        assert heard.wait() == list(range(2, 102))

    def test_a_listener_hears_other_processes(self, log: SqliteLog) -> None:
        """While somebody waits; each record once, whoever wrote it."""
        heard = _Heard(until=60)
        log.subscribe(heard)
        with log.waiting():
            other = _writer(log, name="other", count=30)
            for _ in range(30):
                log.append([note("own")])

            assert heard.wait() == list(range(1, 61))
        assert _ended(other) == 0

    def test_a_listener_hears_only_what_it_asked_for(self, log: SqliteLog) -> None:
        """By type, whoever wrote it, and still each once."""
        heard = _Heard(until=62)
        log.subscribe(heard, types=["rollout.enqueued"])
        with log.waiting():
            log.append([note("own"), enqueued("ro-1")])
            assert _ended(_writer(log, name="other", count=59)) == 0
            log.append([enqueued("ro-2")])

            assert heard.wait() == [2, 62]

    def test_a_newcomer_hears_nothing_of_before(self, log: SqliteLog) -> None:
        """Also when others have not heard all of it yet."""
        first = _Heard(until=4)
        log.subscribe(first)
        other = _writer(log, name="other", count=3)
        assert _ended(other) == 0

        newcomer = _Heard(until=4)
        log.subscribe(newcomer)
        log.append([note("after")])

        assert newcomer.wait() == [4]
        assert first.wait() == [1, 2, 3, 4]

    def test_who_unsubscribes_hears_no_more(self, log: SqliteLog) -> None:
        """The others go on."""
        gone, stays = _Heard(until=1), _Heard(until=2)
        leave = log.subscribe(gone)
        log.subscribe(stays)
        log.append([note("a")])
        gone.wait()

        leave()
        log.append([note("b")])

        assert stays.wait() == [1, 2]
        assert gone.positions == [1]

    def test_a_listener_that_raises_harms_nobody(self, log: SqliteLog, caplog: pytest.LogCaptureFixture) -> None:
        """It is reported, and called again."""

        def broken(_records: Sequence[Record]) -> None:
            raise RuntimeError("a listener's bug")

        heard = _Heard(until=2)
        log.subscribe(broken)
        log.subscribe(heard)
        log.append([note("a")])
        log.append([note("b")])

        assert heard.wait() == [1, 2]
        assert "a listener's bug" in caplog.text

    # --- opening and closing

    def test_what_was_acknowledged_is_there_after_reopening(self, log: SqliteLog, open_log: OpenLog) -> None:
        """And positions go on where they ended."""
        log.append([note("a"), enqueued("ro-1")])
        again = open_log()

        again.append([note("b")])

        assert [record.position for record in again.read()] == [1, 2, 3]
        assert again.rows("select rollout_id from queue") == [("ro-1",)]
        again.close()

    def test_a_readonly_log_reads_and_refuses_to_write(self, log: SqliteLog, open_log: OpenLog) -> None:
        """It follows what others append."""
        log.append([note("a")])
        reader = open_log(readonly=True)
        log.append([note("b")])

        with pytest.raises(LogReadOnly):
            reader.append([note("c")])
        with pytest.raises(LogReadOnly):
            reader.transact(lambda _view: [])

        assert [text(record) for record in reader.read()] == ["a", "b"]
        reader.close()

    def test_closing_writes_what_was_submitted(self, log: SqliteLog, open_log: OpenLog) -> None:
        """Nothing that was taken is dropped."""
        second = open_log()
        futures = [second.submit([note(str(number))]) for number in range(100)]

        second.close()

        assert all(future.done() for future in futures)
        assert log.head() == 100

    def test_closing_twice_is_harmless(self, log: SqliteLog) -> None:
        """And a closed log takes nothing more."""
        log.close()
        log.close()

        with pytest.raises(AglError):
            log.append([note("a")])


class _Heard:
    """A listener that remembers positions, and can be waited for."""

    def __init__(self, *, until: int) -> None:
        self.positions: list[int] = []
        self._until = until
        self._all = threading.Event()

    def __call__(self, records: Sequence[Record]) -> None:
        self.positions += [record.position for record in records]
        if self.positions[-1] >= self._until:
            self._all.set()

    def wait(self) -> list[int]:
        """The positions, once the last one has come."""
        assert self._all.wait(PATIENCE), f"{self._until} never came; heard {self.positions}"
        return list(self.positions)


def _in_threads(count: int, work: Callable[[int], object]) -> None:
    with ThreadPoolExecutor(count) as threads:
        for _ in threads.map(work, range(count)):
            pass


def _writer(log: SqliteLog, *, name: str, count: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", _WRITER, log.url, name, str(count)], env=environment)


def _ended(process: subprocess.Popen[bytes]) -> int:
    return process.wait(PATIENCE * 2)


def _assert_whole(records: Sequence[Record], *, writers: int, each: int) -> None:
    assert [record.position for record in records] == list(range(1, writers * each + 1))
    for name in range(writers):
        own = [record for record in records if record.stream == f"run/{name}"]
        assert [record.version for record in own] == list(range(1, each + 1))
        if not any("." in text(record) for record in own):
            assert all(int(text(one)) < int(text(two)) for one, two in pairwise(own))
