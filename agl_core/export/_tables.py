"""A DuckDB file that needs none of us: the facts, and every documented view with its types."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from agl_core.export._arrow import arriving
from agl_core.export._copying import copy, make, snapshot
from agl_core.export._views import VIEWS
from agl_core.log import ENVELOPE, SqliteLog, pages

__all__ = ["write_tables"]

_EVENTS = VIEWS["events"]
_SEEN = {"data": "data::json", "occurred_at": "make_timestamp(occurred_at // 1000)"}
_SEEN["recorded_at"] = _SEEN["occurred_at"].replace("occurred", "recorded")

_AROUND = f"""
create view events as
  select {", ".join(f'{_SEEN.get(name, f"{chr(34)}{name}{chr(34)}")} as "{name}"' for name, _ in ENVELOPE)}
  from facts;
create view blobs as
  select blob.id, blob.content, position from (select unnest(blobs) as blob, position from facts);
create view seals as
  select position, seal from facts where seal is not null;
comment on table facts is 'Each event as the log keeps it, times in nanoseconds, with the blobs it was first to need.';
"""  # noqa: S608 - names of ours


def write_tables(path: Path, log: SqliteLog, progress: Callable[[int, int | None], None]) -> int:
    """Write it, as of one moment; the position of the last event in it."""
    import duckdb

    with contextlib.closing(duckdb.connect(str(path))) as db:
        db.execute("set enable_progress_bar = false")  # at a prompt it would be printed among the data
        with snapshot(log) as source:
            head = int(source.execute("select coalesce(max(position), 0) from events").fetchone()[0])
            for name, view in VIEWS.items():
                if name != "events":
                    make(db, view)
                    copy(source, db, view, view.columns)
        read = pages(log, until=head, progress=progress)
        with arriving(db, read):
            db.execute("create table facts as from arriving")
        db.execute(_AROUND)
        for name, view in VIEWS.items():
            about = view.about.replace("'", "''")
            db.execute(f"comment on {'view' if name == 'events' else 'table'} {name} is '{about}'")
    return head
