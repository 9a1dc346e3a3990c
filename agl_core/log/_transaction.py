"""One write transaction: where drafts become facts, and what a decision sees."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agl_core.clock import Clock
from agl_core.codec import Codec, Encoded
from agl_core.errors import BadPayload, KeyReused, VersionConflict
from agl_core.ids import ulid
from agl_core.log import _schema, _seals
from agl_core.log._blobs import fetch, place
from agl_core.log._in_flight import InFlight
from agl_core.log._protocol import Expected, Projection, Work
from agl_core.log._tables import Tables
from agl_core.record import Draft, Record

__all__ = ["Landed", "Prepare", "Transaction"]

_REMEMBERED = 65_536

Prepare = Callable[[Draft], Draft]


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of a piece of work."""

    records: Sequence[Record]
    fresh: Sequence[Record]
    """Without those that a key had brought before."""


class Transaction:
    """The transaction of the one connection that writes; what it remembers holds while nobody else has written."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        codec: Codec,
        clock: Clock,
        projections: Sequence[Projection],
        prepare: Prepare,
    ) -> None:
        self._db, self._codec, self._clock, self._prepare = db, codec, clock, prepare
        self._projections, self._tables = projections, Tables(projections)
        self.in_flight = InFlight(db)
        self._seen: int | None = None
        """SQLite's `data_version`: another number, and another connection has written. None: look in any case."""
        self._head = 0
        self._seal = (0, b"")
        self._leaves: list[bytes] = []
        self._blobs: dict[str, None] = {}
        self._versions: dict[str, int] = {}

    def begin(self) -> None:
        """Look where the log is; refuse to write past tables that another process has brought or changed since."""
        seen = self._db.execute("pragma data_version").fetchone()[0]
        self._leaves.clear()
        if seen == self._seen:
            return
        self.doubt()
        _schema.refuse_foreign(self._db, self._projections)
        _seals.seal(self._db)  # what an earlier release, which knew no seals, has written beside us
        self._seal = _seals.last(self._db)
        self._head = self._seal[0]
        self._seen = seen

    def mark(self) -> tuple[int, int]:
        """Where to go back to, if the next piece of work fails."""
        return self._head, len(self._leaves)

    def forget(self, mark: tuple[int, int]) -> None:
        """Go back: the work was rolled back, and what it made is not in the file."""
        self._head = mark[0]
        del self._leaves[mark[1] :]
        self._blobs.clear()
        self._versions.clear()

    def doubt(self) -> None:
        """All that was believed about the file may be wrong."""
        self.forget((0, 0))
        self._seen = None

    def seal(self) -> None:
        """Seal the facts of this transaction."""
        if self._leaves:
            made = _seals.link(self._seal[1], self._leaves)
            self._db.execute("insert into seals values (?, ?)", (self._head, made))
            self._seal = (self._head, made)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._db.execute(sql, parameters).fetchall()

    def version(self, stream: str) -> int:
        known = self._versions.get(stream)
        if known is None:
            if len(self._versions) > _REMEMBERED:
                self._versions.clear()
            sql = "select coalesce(max(version), 0) from events where stream = ?"
            known = self._versions[stream] = int(self._db.execute(sql, (stream,)).fetchone()[0])
        return known

    def land(self, work: Work, encoded: Sequence[Encoded] | None, expected: Expected, *, at: int) -> Landed:
        """Facts out of drafts; those that do not say when they occurred did so `at` the time they were submitted."""
        for stream, version in expected.items():
            if (actual := self.version(stream)) != version and not self._is_known(work):
                raise VersionConflict(stream, expected=version, actual=actual)
        if callable(work):
            drafts = [self._prepare(draft) for draft in work(self)]
            encoded = [self._codec.encode(draft.event) for draft in drafts]
        else:
            drafts = list(work)
        records, fresh = [], []
        for draft, data in zip(drafts, encoded or (), strict=True):
            record, is_fresh = self._insert(draft, data, at)
            records.append(record)
            if is_fresh:
                fresh.append(record)
        return Landed(records, fresh)

    def _is_known(self, work: Work) -> bool:
        """Whether all of it came before: sent again because the answer was lost, it conflicts only with itself."""
        drafts = () if callable(work) else work
        sql = "select 1 from events where key = ?"
        return bool(drafts) and all(draft.key and self.rows(sql, (draft.key,)) for draft in drafts)

    def _insert(self, draft: Draft, data: Encoded, at: int) -> tuple[Record, bool]:
        now = self._clock.now()
        occurred = at if draft.occurred_at is None else draft.occurred_at
        position, id_, version = self._head + 1, ulid(), self.version(draft.stream) + 1
        row = (
            position, id_, draft.stream, version, data.type, data.schema, data.data.decode(), draft.key,
            draft.causation_id, draft.correlation_id, draft.actor, occurred, now,
        )  # fmt: skip
        record = Record(
            position=position, id=id_, stream=draft.stream, version=version, event=data.event, key=draft.key,
            causation_id=draft.causation_id, correlation_id=draft.correlation_id, actor=draft.actor,
            occurred_at=occurred, recorded_at=now,
        )  # fmt: skip
        try:
            self._db.execute("insert into events values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, OverflowError) as error:
            if known := self._known(draft, data):
                return known, False
            raise _unfit(data, error) from error
        try:
            self._keep(position, data.blobs)
            self._tables.apply(record, self._db)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, OverflowError) as error:
            raise _unfit(data, error) from error
        self._head = position
        self._versions[draft.stream] = version
        self._leaves.append(_seals.leaf(row))
        return record, True

    def _known(self, draft: Draft, data: Encoded) -> Record | None:
        """The record that has the draft's key already; `KeyReused` when it says something else."""
        if draft.key is None:
            return None
        found = self._db.execute("select * from events where key = ?", (draft.key,)).fetchone()
        if found is None:
            return None
        position, id_, stream, version, type_, schema, text, key, cause, story, actor, occurred, recorded = found
        for what, before, now in (
            ("type", type_, data.type),
            ("schema", schema, data.schema),
            ("stream", stream, draft.stream),
            ("content", text.encode(), data.data),
        ):
            if before != now and not (what == "content" and self._means(type_, schema, text, data)):
                raise KeyReused(str(draft.key), position=position, differs=what)
        return Record(
            position=position, id=id_, stream=stream, version=version, event=data.event, key=key,
            causation_id=cause, correlation_id=story, actor=actor, occurred_at=occurred, recorded_at=recorded,
        )  # fmt: skip

    def _means(self, type_: str, schema: int, text: str, data: Encoded) -> bool:
        """Whether other bytes say the same: an earlier release wrote them."""
        return self._codec.decode(type_, schema, text, fetch(self._db)) == data.event

    def _keep(self, position: int, blobs: Mapping[str, bytes]) -> None:
        known = self._blobs
        if len(known) > _REMEMBERED:
            known.clear()
        for number, (id_, content) in enumerate(blobs.items()):
            if id_ not in known:
                self._db.execute(_KEEP, (place(position, number), id_, content))
                known[id_] = None


_KEEP = "insert into blobs values (?, ?, ?) on conflict (id) do nothing"


def _unfit(data: Encoded, error: Exception) -> BadPayload:
    """The file is sound, the fact is not: an id that exists already, a number of more than 64 bits."""
    return BadPayload(data.type, why=str(error))
