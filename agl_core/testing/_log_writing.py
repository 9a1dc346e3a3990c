"""What a log promises to one who writes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agl_core.errors import AglError, BadPayload, KeyReused, VersionConflict
from agl_core.events import AttemptFinished, NoteTaken, TestOpened, Unknown
from agl_core.log import SqliteLog, View
from agl_core.record import Draft
from agl_core.testing._facts import enqueued, note

__all__ = ["Writing"]

PATIENCE = 30.0
"""Seconds after which something that should come counts as lost."""


class Writing:
    """Appending, keys, expected versions and deciding."""

    # --- appending

    def test_positions_are_1_2_3(self, log: SqliteLog) -> None:
        """The order of the log has no gaps, across streams and appends."""
        log.append([note("a"), note("b", stream="run/1")])
        log.append([note("c")])

        assert [record.position for record in log.read()] == [1, 2, 3]
        assert log.head() == 3

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

    # --- reading meanwhile

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
        log.append([enqueued("ro-1"), enqueued("ro-2")])
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
        log.append([enqueued("ro-1")])

        def fails_late(view: View) -> Sequence[Draft]:
            view.rows("delete from in_flight")
            return [enqueued("ro-2"), enqueued("ro-1")]

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
