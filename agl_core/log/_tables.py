"""Which projections an event concerns."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from agl_core.events import Event
from agl_core.log._protocol import Projection
from agl_core.record import Record

__all__ = ["Tables"]


class Tables:
    """The tables of some projections: a record is handed to those that hear of its kind, in their order."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._hearers: dict[type[Event], list[Projection]] = {}
        for projection in projections:
            for event in projection.hears:
                self._hearers.setdefault(event, []).append(projection)

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in."""
        for projection in self._hearers.get(type(record.event), ()):
            projection.apply(record, db)
