"""What belongs to one rollout comes apart in a file: it is gathered on the disk, not in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import msgspec

from agl_core.spans.context import said_attempt
from agl_core.spans.otlp import SentLog, SentSpan

__all__ = ["Gathered", "Spool", "spool"]

_TABLE = """
create table sent (number integer primary key, trace text, rollout text, attempt text, kind text, said blob);
create index sent_trace on sent (trace);
"""
_SETTLE = """
update sent set rollout = (select o.rollout from sent o where o.trace = sent.trace and o.rollout is not null limit 1)
where rollout is null;
update sent set attempt = (
  select o.attempt from sent o where o.trace = sent.trace and o.rollout = sent.rollout and o.attempt is not null limit 1
) where attempt is null;
create table rollouts as
  select min(number) as number, coalesce('rollout ' || rollout, 'trace ' || trace) as id from sent group by 2;
create index sent_id on sent (coalesce('rollout ' || rollout, 'trace ' || trace));
analyze;
"""
"""What does not say whose it is goes with the rest of its trace; a trace that nobody claims is a rollout of its own."""


_OF_ONE = (
    "select number, kind, coalesce(attempt, trace, '1'), said from sent "
    "where coalesce('rollout ' || rollout, 'trace ' || trace) = ?"
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that is there of one rollout."""

    id: str
    """`rollout ro-...` as the sender called it, or `trace 4bf9...`."""
    spans: tuple[tuple[str, SentSpan], ...]
    """Each with its attempt."""
    logs: tuple[tuple[str, SentLog], ...]


class Spool:
    """A file of SQLite that is gone when it is closed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(_TABLE)
        db.execute("begin")  # all of it: nothing here is to outlive a crash
        self._encode = msgspec.msgpack.Encoder().encode
        self._read_span = msgspec.msgpack.Decoder(SentSpan).decode
        self._read_log = msgspec.msgpack.Decoder(SentLog).decode

    def add(self, sent: SentSpan | SentLog) -> None:
        """Put it with what belongs to it."""
        rollout, attempt = said_attempt({**sent.resource, **sent.attributes})
        kind = "span" if isinstance(sent, SentSpan) else "log"
        self._db.execute(
            "insert into sent (trace, rollout, attempt, kind, said) values (?, ?, ?, ?, ?)",
            (sent.trace_id, rollout, attempt, kind, self._encode(sent)),
        )

    def rollouts(self) -> Iterator[Gathered]:
        """In the order in which the first of each came; what has neither a trace nor a rollout is left out."""
        self._db.executescript(_SETTLE)
        for (id_,) in self._db.execute("select id from rollouts where id is not null order by number"):
            # Sorted here: asked for an order, SQLite would read the whole table in it for each rollout.
            found = sorted(self._db.execute(_OF_ONE, (id_,)))
            rows = [(kind, attempt, said) for _, kind, attempt, said in found]
            yield Gathered(
                id_,
                tuple((attempt, self._read_span(said)) for kind, attempt, said in rows if kind == "span"),
                tuple((attempt, self._read_log(said)) for kind, attempt, said in rows if kind == "log"),
            )


@contextmanager
def spool() -> Iterator[Spool]:
    """One to work with."""
    with closing(sqlite3.connect("", isolation_level=None)) as db:  # no name: it lies where SQLite keeps what passes
        yield Spool(db)
