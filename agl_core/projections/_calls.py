"""Model calls, one row each: the columns that questions ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agl_core.events import CallRecorded, Event
from agl_core.record import Record

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Calls"]


class Calls:
    """`calls`."""

    name: ClassVar[str] = "calls"
    version: ClassVar[int] = 1
    hears: ClassVar[tuple[type[Event], ...]] = (CallRecorded,)
    tables: ClassVar[Mapping[str, str]] = {
        "calls": """
            create table calls (
              call_id text primary key,
              position integer not null,
              rollout_id text not null,
              attempt_id text not null,
              agent text,
              model text not null,
              role text not null,
              status text not null,
              error text,
              policy_version integer,
              prompt_tokens integer not null,
              completion_tokens integer not null,
              started_at integer not null,
              latency real not null
            ) strict, without rowid;
            create index calls_attempt on calls (attempt_id, position)"""
    }

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in; a call seen twice keeps the row of its first record."""
        match record.event:
            case CallRecorded() as event:
                usage = event.call.usage
                db.execute(
                    "insert or ignore into calls values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        event.call_id, record.position, event.rollout_id, event.attempt_id, event.agent,
                        event.call.model, event.role, event.status, event.error, event.policy_version,
                        usage.prompt_tokens or len(event.call.prompt_token_ids),
                        usage.completion_tokens or sum(len(choice.token_ids) for choice in event.call.choices),
                        event.started_at, event.latency,
                    ),
                )  # fmt: skip
