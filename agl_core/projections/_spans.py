"""Spans, one row each: the columns that questions ask for; the rest lies in their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agl_core.events import Event, SpanRecorded
from agl_core.record import Record

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Spans"]

# Its number is the one it came with, or the next of its rollout.
_INSERT = """
insert or ignore into spans
values (
  ?, ?, ?, ?, ?, ?, ?,
  coalesce(?, (select coalesce(max(sequence_id), 0) + 1 from spans where rollout_id = ?)),
  ?, ?, ?, ?, ?
)
"""


class Spans:
    """`spans`."""

    name: ClassVar[str] = "spans"
    version: ClassVar[int] = 1
    hears: ClassVar[tuple[type[Event], ...]] = (SpanRecorded,)
    tables: ClassVar[Mapping[str, str]] = {
        "spans": """
            create table spans (
              rollout_id text not null,
              attempt_id text not null,
              span_id text not null,
              trace_id text,
              parent_id text,
              name text not null,
              kind text not null,
              sequence_id integer not null,
              status text not null,
              agent text,
              started_at integer not null,
              ended_at integer not null,
              position integer not null,
              primary key (rollout_id, attempt_id, span_id)
            ) strict, without rowid;
            create index spans_sequence on spans (rollout_id, sequence_id, position)"""
    }

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in; a span seen twice keeps the row of its first record."""
        match record.event:
            case SpanRecorded() as event:
                db.execute(
                    _INSERT,
                    (
                        event.rollout_id, event.attempt_id, event.span_id, event.trace_id, event.parent_id, event.name,
                        event.kind, event.sequence_id, event.rollout_id, event.status, event.agent, event.started_at,
                        event.ended_at, record.position,
                    ),
                )  # fmt: skip
