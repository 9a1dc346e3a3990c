"""What every reaction promises, as tests to inherit: it decides by what it hears, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agl_core.algorithm import Following, Reaction, react
from agl_core.algorithm._reaction import options, unwritten
from agl_core.events import Event
from agl_core.ids import content_id
from agl_core.plugins import Plugins
from agl_core.record import Draft, Record

__all__ = ["ReactionContract", "story"]

RUN = "run-contract"


def story(*events: Event, run_id: str = RUN) -> list[Record]:
    """The events as records of a run, in that order: what a reaction is handed, without a log."""
    return [
        Record(
            position=position,
            id=content_id(f"{run_id}/{position}".encode()),
            stream=f"run/{run_id}",
            version=position,
            event=event,
            correlation_id=run_id,
            actor="story",
            occurred_at=0,
            recorded_at=0,
        )
        for position, event in enumerate(events, 1)
    ]


class ReactionContract:
    """Inherit, and override `make` and `events`."""

    @pytest.fixture
    def make(self) -> Callable[[], Reaction[Any]]:
        """Makes the reaction, the same each time."""
        raise NotImplementedError("override the fixture `make`")

    @pytest.fixture
    def events(self) -> Sequence[Event]:
        """Of a run `run-contract`, in order: such that the reaction decides something in the middle of them."""
        raise NotImplementedError("override the fixture `events`")

    def test_it_can_be_named_and_made_again(self, make: Callable[[], Reaction[Any]]) -> None:
        """By its name and its options, which are plain JSON: a run that is resumed finds it so."""
        reaction = make()

        assert reaction.name.split() == [reaction.name]
        assert reaction.version.split() == [reaction.version]
        assert type(reaction)(**options(reaction)) == reaction

    def test_it_decides_something(self, make: Callable[[], Reaction[Any]], events: Sequence[Event]) -> None:
        """Of these events; what it decides can be kept in a log."""
        decided = react(make(), story(*events), run_id=RUN)

        assert decided, "no event of `events` makes it decide anything: the other tests prove nothing"
        with Plugins.load().open_log(":memory:") as log:
            assert len(log.append(decided)) == len(decided)

    def test_it_decides_by_what_it_hears(self, make: Callable[[], Reaction[Any]], events: Sequence[Event]) -> None:
        """Asked again, it says the same; no clock, no chance, nothing kept on itself."""
        reaction, records = make(), story(*events)

        assert _said(react(reaction, records, run_id=RUN)) == _said(react(reaction, records, run_id=RUN))
        assert _said(react(make(), records, run_id=RUN)) == _said(react(reaction, records, run_id=RUN))

    def test_it_changes_no_state_that_it_is_handed(
        self, make: Callable[[], Reaction[Any]], events: Sequence[Event]
    ) -> None:
        """`evolve` gives another; `decide` looks."""
        reaction = make()
        state = reaction.begin()

        for record in story(*events):
            if reaction.hears and not isinstance(record.event, tuple(reaction.hears)):
                continue
            before = repr(state)
            after = reaction.evolve(state, record)
            assert repr(state) == before, f"evolve changed its state at {record.event.type}"
            before = repr(after)
            list(reaction.decide(after, record))
            assert repr(after) == before, f"decide changed its state at {record.event.type}"
            state = after

    def test_killed_anywhere_and_resumed_it_decides_the_same(
        self, make: Callable[[], Reaction[Any]], events: Sequence[Event]
    ) -> None:
        """From a log that has its decisions so far: the same ones, under the same keys, and no others."""
        records = story(*events)
        whole, state = _kept(make(), records)
        wanted = _said(draft for draft in whole if isinstance(draft, Draft))

        for at in range(len(records) + 1):
            before, _ = _kept(make(), records[:at])
            again, found = _kept(make(), [*before, *records[at:]])
            assert _said(draft for draft in again if isinstance(draft, Draft)) == wanted, f"killed after event {at}"
            assert found == state, f"killed after event {at}"


def _kept(reaction: Reaction[Any], told: Sequence[Record | Draft]) -> tuple[list[Record | Draft], Any]:
    """What is in a log afterwards, each decision right behind its cause; and what the reaction knows then."""
    following = Following(reaction, RUN, reaction.name)
    there = {draft.key: draft for draft in told if isinstance(draft, Draft)}
    kept: list[Record | Draft] = []

    def write(drafts: Sequence[Draft]) -> Sequence[Record]:
        assert all(there.get(draft.key, draft) == draft for draft in drafts), "a decision that is another today"
        kept.extend(drafts)
        return unwritten(drafts)

    for one in told:
        if isinstance(one, Record):
            kept.append(one)
            following.hear(one, write)
        else:
            following.hear(unwritten([one])[0], write)
    return kept, following.state


def _said(drafts: Any) -> list[tuple[str, str | None, Event]]:
    return [(draft.stream, draft.key, draft.event) for draft in drafts]
