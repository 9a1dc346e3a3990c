"""Retention: blobs that only deleted rollouts need are erased, beside living writers, and the log says so."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agl_core.codec import Codec, before
from agl_core.errors import LogBusy
from agl_core.events import BlobsErased
from agl_core.log import _schema
from agl_core.log._blobs import find, likely
from agl_core.log._fact import ACTOR
from agl_core.log._failures import explained
from agl_core.log._folding import Progress
from agl_core.log._memory import Recent, scratch
from agl_core.log._protocol import Projection, View
from agl_core.log._sqlite import SqliteLog
from agl_core.log._turns import Turns
from agl_core.record import Draft

__all__ = ["Compacted", "compact", "vacuum"]

_BATCH = 500
"""Blobs that go in one transaction, and that one fact names."""
_NEAR = 1000
"""Events that may be looked at while it is our turn to write; what is further behind is looked at before."""
_WHY = "only deleted rollouts needed them"
_TABLES = (
    "create table deleted (stream text primary key) without rowid",
    "create table gone (id text primary key, place integer not null, bytes integer not null)",
    "create index gone_place on gone (place)",
)

Get = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What was erased, or would be."""

    rollouts: int
    """Deleted rollouts that were looked at."""
    blobs: int
    bytes: int


def compact(
    path: Path,
    *,
    projections: Sequence[Projection] = (),
    codec: Codec | None = None,
    is_dry: bool = False,
    why: str = _WHY,
    progress: Progress = lambda _done, _all: None,
) -> Compacted:
    """Erase the blobs that no kept rollout and no other event needs; `blobs.erased` names them.

    Others go on writing: which blobs go is settled in the transaction that erases them, a batch at a time. The space
    is used again by what comes; `vacuum` gives it back.
    """
    # A log of its own: what another remembers of the blobs in the file, it forgets when it sees that this one wrote.
    with (
        SqliteLog(path, projections=() if is_dry else projections, codec=codec, readonly=is_dry) as log,
        contextlib.closing(scratch(*_TABLES)) as db,
    ):
        unneeded = _Unneeded(log, db)
        unneeded.gather()
        unneeded.keep_until(log.head(), progress)
        rollouts = db.execute("select count(*) from deleted").fetchone()[0]
        if is_dry:
            blobs, size = db.execute("select count(*), coalesce(sum(bytes), 0) from gone").fetchone()
        else:
            blobs, size = unneeded.erase(why)
        return Compacted(rollouts=rollouts, blobs=blobs, bytes=size)


class _Unneeded:
    """The blobs of deleted rollouts, less those that something else needs, as far as it has been read."""

    def __init__(self, log: SqliteLog, db: sqlite3.Connection) -> None:
        self._log, self._db = log, db
        self._kept: Recent[str] = Recent()
        self._seen = 0

    def gather(self) -> None:
        """All blobs that events of deleted rollouts are made of."""
        walked: Recent[str] = Recent()
        with self._log.reading() as db:
            found = db.execute("select distinct stream from events where type = 'rollout.deleted'")
            self._db.executemany("insert into deleted values (?)", found)
        for (stream,) in self._db.execute("select stream from deleted").fetchall():
            with self._log.reading() as db:
                for (data,) in db.execute("select data from events where stream = ? order by version", (stream,)):
                    for id_ in _walk(data, find(db), walked):
                        self._db.execute(
                            "insert or ignore into gone values (?, ?, ?)",
                            (
                                id_,
                                *db.execute("select place, length(content) from blobs where id = ?", (id_,)).fetchone(),
                            ),
                        )

    def keep_until(self, head: int, progress: Progress = lambda _done, _all: None) -> None:
        """Read on, and keep what other events need."""
        while self._seen < head:
            until = min(self._seen + _BATCH, head)
            with self._log.reading() as db:
                sql = "select stream, data from events where position > ? and position <= ?"
                for stream, data in db.execute(sql, (self._seen, until)):
                    self._keep(stream, data, find(db))
            self._seen = until
            progress(until, head)

    def _keep(self, stream: str, data: str, get: Get) -> None:
        if self._db.execute("select 1 from deleted where stream = ?", (stream,)).fetchone() is None:
            for id_ in _walk(data, get, self._kept):
                self._db.execute("delete from gone where id = ?", (id_,))

    def erase(self, why: str) -> tuple[int, int]:
        """How many went, and their bytes."""
        blobs = size = 0
        while True:
            while self._log.head() - self._seen > _NEAR:
                self.keep_until(self._log.head())
            batch: list[tuple[str, int]] = []
            self._log.transact(partial(self._erase, batch=batch, why=why))
            if not batch:
                return blobs, size
            self._db.executemany("delete from gone where id = ?", ((id_,) for id_, _ in batch))
            blobs += len(batch)
            size += sum(length for _, length in batch)

    def _erase(self, view: View, *, batch: list[tuple[str, int]], why: str) -> list[Draft]:
        """In the transaction that others wait for: what has been written meanwhile may need them again."""

        def get(id_: str) -> bytes | None:
            found = view.rows("select content from blobs where id = ?", (id_,))
            return bytes(found[0][0]) if found else None

        for position, stream, data in view.rows(
            "select position, stream, data from events where position > ? order by position", (self._seen,)
        ):
            self._keep(stream, data, get)
            self._seen = position
        batch[:] = self._db.execute("select id, bytes from gone order by place limit ?", (_BATCH,)).fetchall()
        if not batch:
            return []
        view.rows("pragma secure_delete = on")  # so that the bytes do not stay where nothing points at them
        for id_, _ in batch:
            view.rows("delete from blobs where id = ?", (id_,))
        return [Draft(stream="log", event=BlobsErased(ids=tuple(id_ for id_, _ in batch), why=why), actor=ACTOR)]


def _walk(data: str, get: Get, walked: Recent[str]) -> Iterator[str]:
    for mark, tip in likely(data):
        at: str | None = tip
        while at is not None and at not in walked:
            content = get(at)
            if content is None:
                break
            walked.add(at)
            yield at
            at = before(mark, content)


def vacuum(path: Path) -> int:
    """Give the space of what was erased back; how many bytes. Raises `LogBusy` while anybody else has the log open."""
    was = path.stat().st_size
    turns = Turns(path)
    with contextlib.closing(turns), turns.mine(), contextlib.closing(_schema.connect(path)) as db:
        try:
            db.execute("pragma busy_timeout = 0")
            db.execute("pragma locking_mode = exclusive")
            with _schema.transaction(db):  # refused while another connection is open, be it idle
                db.execute("select 1 from events limit 1").fetchone()
            db.execute("vacuum")
            db.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.Error as error:
            if isinstance(explained(error, str(path)), LogBusy):
                raise LogBusy(str(path)) from None
            raise
    return was - path.stat().st_size
