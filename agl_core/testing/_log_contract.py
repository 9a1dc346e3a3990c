"""What every log promises, as tests to inherit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from agl_core.errors import AglError, BadPayload, KeyReused, LogReadOnly, VersionConflict
from agl_core.events import AttemptFinished, Event, NoteTaken, RolloutEnqueued, TestOpened, Unknown
from agl_core.log import SqliteLog, View
from agl_core.record import Draft, Record

__all__ = ["LogContract", "note"]

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


def note(text: str, *, stream: str = "log", key: str | None = None) -> Draft:
    """The smallest fact there is."""
    return Draft(stream=stream, event=NoteTaken(text=text), key=key)


class LogContract:
    """Inherit, and override `open_log`."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        """Opens the log of this test: the same place each time, with the core's projections.

        Takes `readonly=`. `agl_core.open_log(log.url)` must open the same log in another process.
        """
        raise NotImplementedError("override the fixture `open_log`")

    @pytest.fixture
    def log(self, open_log: OpenLog) -> Iterator[SqliteLog]:
        """An empty log, closed after the test."""
        log = open_log()
        yield log
        log.close()

    # --- appending

    def test_positions_are_1_2_3(self, log: SqliteLog) -> None:
        """The order of the log has no gaps, across streams and appends."""
        log.append([note("a"), note("b", stream="run/1")])
        log.append([note("c")])

        assert [record.position for record in log.read()] == [1, 2, 3]
        assert log.head() == 3

    def test_an_empty_log_has_head_0(self, log: SqliteLog) -> None:
        """And nothing to read."""
        assert log.head() == 0
        assert list(log.read()) == []

    def test_appending_nothing_writes_nothing(self, log: SqliteLog) -> None:
        """It is allowed, and it is no fact."""
        assert list(log.append([])) == []
        assert log.head() == 0

    def test_versions_count_in_their_stream(self, log: SqliteLog) -> None:
        """Each stream has its own 1, 2, 3."""
        records = log.append([note("a"), note("b", stream="run/1"), note("c"), note("d", stream="run/1")])

        assert [(record.stream, record.version) for record in records] == [
            ("log", 1),
            ("run/1", 1),
            ("log", 2),
            ("run/1", 2),
        ]

    def test_what_append_returns_is_what_read_gives(self, log: SqliteLog) -> None:
        """Every field of the envelope, and the event."""
        draft = Draft(
            stream="run/1",
            event=NoteTaken(text="ä", data={"n": 1, "deep": [{"x": None}]}),
            key="k",
            causation_id="cause",
            correlation_id="story",
            actor="agl-test 1.0",
            occurred_at=12,
        )

        (appended,) = log.append([draft])

        assert list(log.read()) == [appended]
        assert (appended.event, appended.key, appended.actor) == (draft.event, "k", "agl-test 1.0")
        assert (appended.causation_id, appended.correlation_id, appended.occurred_at) == ("cause", "story", 12)

    def test_ids_are_unique(self, log: SqliteLog) -> None:
        """Others point at them."""
        log.append([note(str(number)) for number in range(100)])

        assert len({record.id for record in log.read()}) == 100

    def test_a_batch_lands_whole_or_not_at_all(self, log: SqliteLog) -> None:
        """One draft that is refused takes the others with it."""
        log.append([note("first", key="k")])

        with pytest.raises(KeyReused):
            log.append([note("a"), note("another", key="k"), note("b")])

        assert log.head() == 1

    def test_an_event_that_cannot_be_read_back_is_refused(self, log: SqliteLog) -> None:
        """A log keeps its mistakes for ever, so it makes none."""
        wrong = AttemptFinished(rollout_id="ro-1", attempt_id="at-1", exit_status="no such status")  # type: ignore[arg-type]

        with pytest.raises(BadPayload):
            log.append([note("a"), Draft(stream="log", event=wrong)])

        assert log.head() == 0

    def test_an_event_of_an_unknown_type_survives(self, log: SqliteLog) -> None:
        """A log opens without the plugin that wrote it."""
        fact = Unknown(name="weather.changed", version=3, data={"sky": ["blue"]})

        log.append([Draft(stream="log", event=fact)])

        assert [record.event for record in log.read()] == [fact]

    # --- expected versions

    def test_an_expected_version_that_holds_lets_the_batch_in(self, log: SqliteLog) -> None:
        """0 says that the stream must not exist yet."""
        log.append([note("a")], expected={"log": 0})
        log.append([note("b")], expected={"log": 1, "run/1": 0})

        assert log.head() == 2

    def test_a_stale_expected_version_keeps_the_batch_out(self, log: SqliteLog) -> None:
        """The conflict says what is there."""
        log.append([note("a")])

        with pytest.raises(VersionConflict) as conflict:
            log.append([note("b")], expected={"log": 0})

        assert (conflict.value.stream, conflict.value.expected, conflict.value.actual) == ("log", 0, 1)
        assert log.head() == 1

    # --- keys

    def test_a_known_key_gives_the_first_record_back(self, log: SqliteLog) -> None:
        """However often it is sent, it lands once."""
        (first,) = log.append([note("a", key="k")])
        (again,) = log.append([note("a", key="k")])

        assert again == first
        assert log.head() == 1

    def test_a_key_twice_in_a_batch_lands_once(self, log: SqliteLog) -> None:
        """The second of them is the first."""
        first, second = log.append([note("a", key="k"), note("a", key="k")])

        assert first == second
        assert log.head() == 1

    @pytest.mark.parametrize(
        ("draft", "differs"),
        [
            (note("b", key="k"), "content"),
            (note("a", key="k", stream="run/1"), "stream"),
            (Draft(stream="log", event=TestOpened(run_id="run-1", tasks=1), key="k"), "type"),
        ],
        ids=["content", "stream", "type"],
    )
    def test_a_known_key_with_another_fact_is_refused(self, log: SqliteLog, draft: Draft, differs: str) -> None:
        """A key names one fact for ever; the error says what differs, and from what."""
        log.append([note("a", key="k")])

        with pytest.raises(KeyReused) as reused:
            log.append([draft])

        assert (reused.value.position, reused.value.differs) == (1, differs)
        assert log.head() == 1

    def test_a_batch_sent_again_does_not_conflict_with_itself(self, log: SqliteLog) -> None:
        """Who lost the answer may ask again, expected version and all."""
        (first,) = log.append([note("a", key="k")], expected={"log": 0})
        (again,) = log.append([note("a", key="k")], expected={"log": 0})

        assert again == first

    # --- reading

    def test_reading_takes_a_slice(self, log: SqliteLog) -> None:
        """`after` is exclusive, `until` inclusive, `limit` counts what is given."""
        log.append([note(str(number), stream="run/1" if number % 2 else "log") for number in range(1, 11)])

        def positions(**where: object) -> list[int]:
            return [record.position for record in log.read(**where)]  # type: ignore[arg-type]

        assert positions(after=3, until=6) == [4, 5, 6]
        assert positions(limit=2) == [1, 2]
        assert positions(limit=0) == []
        assert positions(after=4, stream="run/1") == [5, 7, 9]
        assert positions(after=4, stream="run/1", limit=2) == [5, 7]
        assert positions(after=10) == []
        assert positions(until=0) == []
        assert positions(stream="run/none") == []

    def test_reading_picks_types(self, log: SqliteLog) -> None:
        """By name, several at once; a name nobody uses finds nothing."""
        log.append([note("a"), Draft(stream="run/1", event=TestOpened(run_id="run-1", tasks=1)), note("b")])

        assert [record.position for record in log.read(types=["note.taken"])] == [1, 3]
        assert [record.position for record in log.read(types={"note.taken", "test.opened"})] == [1, 2, 3]
        assert list(log.read(types=["never.happened"])) == []

    def test_reading_goes_on_past_a_page(self, log: SqliteLog) -> None:
        """However a log cuts its reading up, every record comes once, in order."""
        log.append([note(str(number)) for number in range(1_201)])

        assert [record.position for record in log.read()] == list(range(1, 1_202))
        assert [record.position for record in log.read(after=100, limit=1_001)] == list(range(101, 1_102))

    def test_who_reads_does_not_hold_up_who_writes(self, log: SqliteLog) -> None:
        """A reader in the middle of the log sees what is appended meanwhile."""
        log.append([note(str(number)) for number in range(3)])
        reading = log.read()

        next(reading)
        log.append([note("meanwhile")])

        assert [record.position for record in reading][:2] == [2, 3]
        assert log.head() == 4

    # --- deciding

    def test_a_decision_sees_the_tables_and_the_versions(self, log: SqliteLog) -> None:
        """Inside the write transaction, as of the last record."""
        log.append([_enqueued("ro-1"), _enqueued("ro-2")])
        seen: list[object] = []

        def decide(view: View) -> Sequence[Draft]:
            seen.append(view.rows("select rollout_id from queue order by position"))
            seen.append((view.version("rollout/ro-1"), view.version("rollout/ro-3")))
            return [note("decided")]

        (record,) = log.transact(decide)

        assert seen == [[("ro-1",), ("ro-2",)], (1, 0)]
        assert record.position == 3

    def test_a_decision_that_fails_leaves_nothing(self, log: SqliteLog) -> None:
        """Neither facts nor rows of what is under way; its own error comes back."""
        log.append([_enqueued("ro-1")])

        def fails_late(view: View) -> Sequence[Draft]:
            view.rows("delete from in_flight")
            return [_enqueued("ro-2"), _enqueued("ro-1")]

        def fails(_view: View) -> Sequence[Draft]:
            raise LookupError("nothing to do")

        with pytest.raises(LookupError, match="nothing to do"):
            log.transact(fails)
        with pytest.raises(AglError):
            log.transact(fails_late)

        assert log.head() == 1
        assert log.rows("select rollout_id from rollouts") == [("ro-1",)]

    def test_a_failure_is_its_own(self, log: SqliteLog) -> None:
        """What shares the transaction of a group is not touched by a neighbour that is refused."""
        log.append([note("first", key="k")])
        futures = [log.submit([note("other", key="k") if number % 2 else note(str(number))]) for number in range(20)]

        refused = [future.exception(PATIENCE) is not None for future in futures]

        assert refused == [bool(number % 2) for number in range(20)]
        assert [record.position for record in log.read()] == list(range(1, 12))

    def test_decisions_never_overlap(self, log: SqliteLog) -> None:
        """What a decision has seen is still so when its facts land."""

        def count(view: View) -> Sequence[Draft]:
            return [note(str(view.version("run/1") + 1), stream="run/1")]

        _in_threads(8, lambda _number: [log.transact(count) for _ in range(10)])

        assert [_text(record) for record in log.read()] == [str(number) for number in range(1, 81)]

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
        batches = [(record.stream, _text(record).split(".")[0]) for record in log.read()]
        assert all(batches[start] == batches[start + 2] for start in range(0, len(batches), 3))

    def test_processes_leave_no_gap(self, log: SqliteLog) -> None:
        """Several processes and this one write to the same log."""
        others = [_writer(log, name=str(number), count=30) for number in range(3)]
        for number in range(30):
            log.append([note(str(number), stream="run/3")])

        assert [_ended(other) for other in others] == [0, 0, 0]
        _assert_whole(list(log.read()), writers=4, each=30)

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

        assert [_text(record) for record in log.read()] == ["a", "b"]

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
        log.append([note("a"), _enqueued("ro-1")])
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

        assert [_text(record) for record in reader.read()] == ["a", "b"]
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
        if not any("." in _text(record) for record in own):
            assert all(int(_text(one)) < int(_text(two)) for one, two in pairwise(own))


def _enqueued(rollout_id: str) -> Draft:
    event: Event = RolloutEnqueued(rollout_id=rollout_id, input={"q": rollout_id}, task_id="ta-1")
    return Draft(stream=f"rollout/{rollout_id}", event=event)


def _text(record: Record) -> str:
    assert isinstance(record.event, NoteTaken)
    return record.event.text
