"""A projection says which events change its tables: all of those, and no others."""

import contextlib
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agl_core.codec import Codec
from agl_core.errors import AglError
from agl_core.events import CORE_EVENTS
from agl_core.projections import CORE
from agl_core.record import Record
from agl_core.testing import strategies


def recorded(event, position):
    """The event in some place."""
    return Record(
        position=position, id=f"id-{position}", stream="log", version=position, event=event, actor="x",
        occurred_at=0, recorded_at=position,
    )  # fmt: skip


@pytest.mark.parametrize("projection", CORE, ids=lambda projection: projection.name)
def test_what_it_does_not_hear_changes_nothing(projection):
    """Whatever its tables hold: a type that is missing from `hears` would be lost to it."""
    others = [event for event in CORE_EVENTS if event not in projection.hears]

    @settings(max_examples=60, deadline=None)
    @given(
        known=st.lists(st.one_of([strategies.event(event) for event in projection.hears]), max_size=4),
        other=st.one_of([strategies.event(event) for event in others]),
    )
    def holds(known, other):
        with contextlib.closing(sqlite3.connect(":memory:")) as db:
            db.executescript(";".join(projection.tables.values()))
            for position, event in enumerate(known, start=1):
                with contextlib.suppress(sqlite3.Error, OverflowError, AglError):
                    projection.apply(recorded(Codec().encode(event).event, position), db)
            before = db.total_changes

            projection.apply(recorded(other, 99), db)

            assert db.total_changes == before

    holds()
