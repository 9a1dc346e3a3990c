"""The file's layout, and the numbered steps from every earlier one; the last number is the file's `user_version`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from agl_core.log import _in_flight, _seals
from agl_core.log._blobs import place, unplaced

__all__ = ["LAYOUT", "PROJECTIONS", "bring_up"]

_EVENTS = """
create table events (
  position integer primary key,
  id text not null unique,
  stream text not null,
  version integer not null,
  type text not null,
  schema integer not null,
  data text not null check (json_valid(data)),
  key text unique,
  causation_id text,
  correlation_id text,
  actor text not null,
  occurred_at integer not null,
  recorded_at integer not null,
  unique (stream, version)
) strict;
create index events_type on events (type, position);
create trigger events_stay before update on events
  begin select raise(abort, 'events are facts: they are never updated'); end;
create trigger events_last before delete on events
  begin select raise(abort, 'events are facts: they are never deleted'); end;
-- `insert or replace` deletes without asking the trigger above, by any of the unique columns.
create trigger events_next before insert on events
  when new.position is not (select coalesce(max(position), 0) + 1 from events)
    or exists (select 1 from events where id = new.id)
    or exists (select 1 from events where key = new.key)
    or exists (select 1 from events where stream = new.stream and version = new.version)
  begin select raise(abort, 'events are facts: each takes the next position, and the place of no other'); end;
create table blobs (
  id text primary key,
  content blob not null
) strict, without rowid;
create table secrets (
  name text primary key,
  value blob not null
) strict;
"""

PROJECTIONS = """
create table projections (
  name text primary key,
  version integer not null
) strict;
"""
"""Which tables a file has, and of which version."""

_BLOBS = """
create table placed (
  place integer primary key,
  id text not null unique,
  content blob not null
) strict;
"""

_SEALS = """
create table seals (
  position integer primary key,
  hash blob not null
) strict;
"""


def m001_events_blobs_and_what_is_in_flight(db: sqlite3.Connection) -> None:
    """The first layout."""
    _run(db, _EVENTS + PROJECTIONS + _in_flight.DDL)
    db.execute("insert into secrets values ('log', ?)", [os.urandom(32)])


def m002_blobs_in_the_order_of_their_events(db: sqlite3.Connection) -> None:
    """Blobs lay by hash, so that each commit touched pages all over the file: 9 KB an event, and half the speed."""
    _run(db, _BLOBS)
    for position, fresh in unplaced(db):
        rows = [(place(position, number), id_, content) for number, (id_, content) in enumerate(fresh)]
        db.executemany("insert into placed values (?, ?, ?)", rows)
    _run(db, "drop table blobs; alter table placed rename to blobs;")


def m003_seals(db: sqlite3.Connection) -> None:
    """Nothing told a fact that was changed in the file itself from the one that was recorded."""
    _run(db, _SEALS)
    _seals.seal(db)


def m004_what_a_process_holds(db: sqlite3.Connection) -> None:
    """To find the leases of a dead process, all leases of the file were read."""
    _run(db, "create index if not exists in_flight_owner on in_flight (owner, kind)")


_STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    m001_events_blobs_and_what_is_in_flight,
    m002_blobs_in_the_order_of_their_events,
    m003_seals,
    m004_what_a_process_holds,
)
LAYOUT = len(_STEPS)


def bring_up(db: sqlite3.Connection) -> None:
    """Take the steps the file has not taken; the caller's transaction makes them one."""
    from sqlite_utils import Database, Migrations

    migrations = Migrations("agl-core")
    for step in _STEPS:
        migrations(name=step.__name__)(lambda _database, step=step: step(db))
    migrations.apply(Database(db, execute_plugins=False))


def statements(script: str) -> list[str]:
    """The statements of a script; a trigger's body holds semicolons of its own."""
    found, pending = [], ""
    for part in script.split(";"):
        pending += part
        if sqlite3.complete_statement(pending + ";"):
            if pending.strip():
                found.append(pending.strip())
            pending = ""
        else:
            pending += ";"
    return found


def _run(db: sqlite3.Connection, script: str) -> None:
    for statement in statements(script):
        db.execute(statement)
