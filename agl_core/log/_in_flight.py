"""The one table that changes: leases, and calls under way. All else in the file is a fact, or folds from facts."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import msgspec

from agl_core.log._owner import Owner

__all__ = ["COPIED", "DUE", "RENEWED", "Flight", "InFlight"]

COPIED = "copied"
"""Kind of the row that says: this file was made of another, whose attempts nobody holds here."""

DDL = """
create table if not exists in_flight (
  kind text not null,
  id text not null,
  owner text not null,
  deadline integer,
  data text not null default '{}',
  primary key (kind, id)
) strict, without rowid;
create index if not exists in_flight_deadline on in_flight (kind, deadline);
"""
"""As the first layout had it."""

_UNTIL = "ifnull(json_extract(data, '$.until'), ~(1 << 63))"
DUE = f"kind = ? and deadline >= ? and deadline < ? and owner = ? and deadline < {_UNTIL}"
"""What `InFlight.renew` would move on: kind, now, before, owner."""
RENEWED = 1000
"""Rows that `InFlight.renew` moves on at once: a hundred thousand would hold up every other writer."""
_RENEW = f"""
update in_flight
set deadline = min(? + ifnull(json_extract(data, '$.silence'), 30000000000), {_UNTIL}),
    data = json_set(data, '$.beat', ?)
where kind = ? and id in (
  select id from in_flight indexed by in_flight_deadline where {DUE} order by deadline limit {RENEWED}
)
"""  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class Flight:
    """Something under way."""

    kind: str
    """`lease`, `call`, `run`, `worker` (its heartbeat), `sequence` (the span numbers of a rollout) or `copied`."""
    id: str
    owner: Owner
    deadline: int | None
    """Nanoseconds since the epoch; after it, the holder has lost it."""
    data: Any


class InFlight:
    """Reads and changes the table, inside the transaction it is handed out in."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, kind: str, id: str, *, owner: Owner, deadline: int | None = None, data: Any = None) -> None:
        """Begin, or replace."""
        self._db.execute(
            "insert into in_flight values (?, ?, ?, ?, ?) on conflict do update "
            "set owner = excluded.owner, deadline = excluded.deadline, data = excluded.data",
            (kind, id, str(owner), deadline, msgspec.json.encode(data or {}).decode()),
        )

    def drop(self, kind: str, id: str) -> bool:
        """End; false when it was not under way."""
        return self._db.execute("delete from in_flight where kind = ? and id = ?", (kind, id)).rowcount > 0

    def renew(self, kind: str, owner: Owner, *, now: int, before: int) -> int:
        """Move on what `owner` holds with a deadline from `now` until `before`, the first `RENEWED`; how many it was.

        Each by the `silence` in its own data, and not past the `until` there.
        """
        return self._db.execute(_RENEW, (now, now, kind, kind, now, before, str(owner))).rowcount

    def get(self, kind: str, id: str) -> Flight | None:
        """What is under way by that name."""
        found = self._db.execute("select * from in_flight where kind = ? and id = ?", (kind, id)).fetchone()
        return _flight(found) if found else None

    def of(self, kind: str) -> list[Flight]:
        """All of a kind."""
        return [_flight(row) for row in self._db.execute("select * from in_flight where kind = ? order by id", (kind,))]

    def held_by(self, kind: str, owner: Owner) -> list[Flight]:
        """All of a kind that a process holds."""
        # `+`: by the primary key, which begins with the kind, all of the kind would be looked at.
        sql = "select * from in_flight where +kind = ? and owner = ? order by +id"
        return [_flight(row) for row in self._db.execute(sql, (kind, str(owner)))]

    def overdue(self, kind: str, now: int) -> list[Flight]:
        """All of a kind whose deadline has passed."""
        sql = "select * from in_flight where kind = ? and deadline < ? order by deadline, id"
        return [_flight(row) for row in self._db.execute(sql, (kind, now))]


def _flight(row: Any) -> Flight:
    kind, id_, owner, deadline, data = row
    return Flight(kind, id_, Owner.parse(owner), deadline, msgspec.json.decode(data))
