"""What a log promises to one who reads, whether it can be written to or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from agl_core.events import NoteTaken, TestOpened, Unknown
from agl_core.log import SqliteLog
from agl_core.record import Draft
from agl_core.testing._facts import enqueued, note

__all__ = ["Holding", "Reading"]

Holding = Callable[[Sequence[Draft]], SqliteLog]


class Reading:
    """Slices, types, keys, positions and tables."""

    @pytest.fixture
    def holding(self) -> Holding:
        """Gives a log of these facts, and of no others. Called once in a test."""
        raise NotImplementedError("override the fixture `holding`")

    def test_an_empty_log_has_head_0(self, holding: Holding) -> None:
        """And nothing to read."""
        log = holding([])

        assert log.head() == 0
        assert list(log.read()) == []

    def test_reading_gives_every_field(self, holding: Holding) -> None:
        """Of the envelope, and the event; also of a type that nobody knows."""
        drafts = [
            Draft(
                stream="run/1",
                event=NoteTaken(text="ä", data={"n": 1, "deep": [{"x": None}]}),
                key="k",
                causation_id="cause",
                correlation_id="story",
                actor="agl-test 1.0",
                occurred_at=12,
            ),
            Draft(stream="log", event=Unknown(name="weather.changed", version=3, data={"sky": ["blue"]})),
        ]

        known, unknown = holding(drafts).read()

        assert (known.position, known.stream, known.version, known.event) == (1, "run/1", 1, drafts[0].event)
        assert (known.key, known.causation_id, known.correlation_id) == ("k", "cause", "story")
        assert (known.actor, known.occurred_at, known.recorded_at > 0) == ("agl-test 1.0", 12, True)
        assert (unknown.position, unknown.event, unknown.key) == (2, drafts[1].event, None)

    def test_reading_takes_a_slice(self, holding: Holding) -> None:
        """`after` is exclusive, `until` inclusive, `limit` counts what is given."""
        log = holding([note(str(number), stream="run/1" if number % 2 else "log") for number in range(1, 11)])

        def positions(**where: object) -> list[int]:
            return [record.position for record in log.read(**where)]  # type: ignore[arg-type]

        assert log.head() == 10
        assert positions(after=3, until=6) == [4, 5, 6]
        assert positions(limit=2) == [1, 2]
        assert positions(limit=0) == []
        assert positions(after=4, stream="run/1") == [5, 7, 9]
        assert positions(after=4, stream="run/1", limit=2) == [5, 7]
        assert positions(after=10) == []
        assert positions(until=0) == []
        assert positions(stream="run/none") == []

    def test_reading_picks_types(self, holding: Holding) -> None:
        """By name, several at once; a name nobody uses finds nothing."""
        log = holding([note("a"), Draft(stream="run/1", event=TestOpened(run_id="run-1", tasks=1)), note("b")])

        assert [record.position for record in log.read(types=["note.taken"])] == [1, 3]
        assert [record.position for record in log.read(types={"note.taken", "test.opened"})] == [1, 2, 3]
        assert list(log.read(types=["never.happened"])) == []

    def test_reading_goes_on_past_a_page(self, holding: Holding) -> None:
        """However a log cuts its reading up, every record comes once, in order."""
        log = holding([note(str(number)) for number in range(1_201)])

        assert [record.position for record in log.read()] == list(range(1, 1_202))
        assert [record.position for record in log.read(after=100, limit=1_001)] == list(range(101, 1_102))

    def test_a_record_is_found_by_its_key(self, holding: Holding) -> None:
        """And one that nobody used finds nothing."""
        log = holding([note("a"), note("b", key="k")])

        found = log.get("k")

        assert found is not None
        assert found.position == 2
        assert log.get("none") is None

    def test_records_are_found_by_their_positions(self, holding: Holding) -> None:
        """Several at once; those that are not there are left out."""
        log = holding([note(str(number)) for number in range(5)])

        assert sorted(log.records([2, 4, 9])) == [2, 4]

    def test_the_tables_are_folded(self, holding: Holding) -> None:
        """As of the last record."""
        log = holding([enqueued("ro-1"), enqueued("ro-2")])

        assert log.rows("select rollout_id from rollouts order by position") == [("ro-1",), ("ro-2",)]
