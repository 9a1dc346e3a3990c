"""Rewards as they stand: given, and not withdrawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agl_core.events import Event, RewardGiven, RewardWithdrawn
from agl_core.record import Record

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Rewards"]


class Rewards:
    """`rewards`."""

    name: ClassVar[str] = "rewards"
    version: ClassVar[int] = 1
    hears: ClassVar[tuple[type[Event], ...]] = (RewardGiven, RewardWithdrawn)
    tables: ClassVar[Mapping[str, str]] = {
        "rewards": """
            create table rewards (
              id text primary key,
              position integer not null,
              rollout_id text not null,
              attempt_id text,
              target_kind text not null,
              target_id text not null,
              name text not null,
              value real not null,
              judge text not null,
              withdrawn integer not null default 0
            ) strict, without rowid;
            create index rewards_rollout on rewards (rollout_id, position)"""
    }

    def apply(self, record: Record, db: sqlite3.Connection) -> None:
        """Take one record in."""
        match record.event:
            case RewardGiven() as event:
                db.execute(
                    "insert into rewards values (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                    (
                        record.id, record.position, event.rollout_id, event.attempt_id, event.target.kind,
                        event.target.id, event.name, event.value, event.judge,
                    ),
                )  # fmt: skip
            case RewardWithdrawn() as event:
                db.execute("update rewards set withdrawn = 1 where id = ?", (event.reward,))
