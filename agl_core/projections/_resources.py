"""Resource versions, and which is the latest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import msgspec

from agl_core.events import Event, ResourcesPublished
from agl_core.record import Record

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Resources"]


class Resources:
    """`resources`."""

    name: ClassVar[str] = "resources"
    version: ClassVar[int] = 1
    hears: ClassVar[tuple[type[Event], ...]] = (ResourcesPublished,)
    tables: ClassVar[Mapping[str, str]] = {
        "resources": """
            create table resources (
              resources_id text not null,
              version integer not null,
              position integer not null unique,
              run_id text,
              parent text,
              why text not null,
              data text not null,
              created_at integer not null,
              primary key (resources_id, version)
            ) strict, without rowid"""
    }

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in."""
        match record.event:
            case ResourcesPublished() as event:
                db.execute(
                    "insert into resources values (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        event.resources_id, event.version, record.position, event.run_id, event.parent, event.why,
                        msgspec.json.encode(event.resources, order="sorted").decode(), record.recorded_at,
                    ),
                )  # fmt: skip
