"""A sound log out of a damaged file: every event that can be read, in its place, and a word where one is lost."""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agl_core.clock import Clock, System
from agl_core.codec import Codec, before, references
from agl_core.errors import AglError, ContentErased, LogCorrupt, LogExists
from agl_core.events import BlobsErased, CaptureLost, Event
from agl_core.log import _seals
from agl_core.log._assemble import assemble
from agl_core.log._erased import readable
from agl_core.log._fact import fact
from agl_core.log._foreign import LOST
from agl_core.log._memory import Recent
from agl_core.log._protocol import Projection
from agl_core.log._salvage import salvaged, stretches
from agl_core.log._stored import Stored

__all__ = ["Lost", "Recovered", "recover"]

_NAMED = 500
"""Blobs that one `blobs.erased` names."""
_UNREADABLE = "no page that can be read holds it"
_NOWHERE = "what it says of its stream is damaged"
_CUT = """
select min(position) from (select position, lag(position, 1, 0) over (order by position) last from events)
where position - last > ?
"""
_HEADS = (
    "select max(position) from events",
    "select max(position) from seals",
    "select max(place) >> 20 from blobs",
)

_NAMED_BEFORE = "select one.value from events, json_each(data, '$.ids') one where events.type = 'blobs.erased'"
_GAPS = """
select stream, version, position, lag(version, 1, 0) over mine, lag(position, 1, 0) over mine
from events window mine as (partition by stream order by version)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Events that could not be read, neighbours as one."""

    first: int
    last: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of a damaged log."""

    events: int
    """The last position that anything in the file tells of; places of lost events are kept."""
    lost: tuple[Lost, ...] = ()
    doubtful: tuple[tuple[int, int], ...] = ()
    """Stretches whose events are kept, and are not proved: they were changed, or a seal of theirs is lost."""
    blobs: tuple[str, ...] = ()
    """Blobs that events still name and that are gone."""
    sealed: int
    """Up to here the seals are those of the damaged file; what stands behind is sealed anew."""
    has_secret: bool = True
    """Whether the log's own key was saved; if not, tokens it made are worth nothing any more."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost, and all of it is what was recorded."""
        return not (self.lost or self.doubtful or self.blobs) and self.has_secret


def recover(
    source: Path,
    target: Path,
    *,
    projections: Sequence[Projection] = (),
    codec: Codec | None = None,
    clock: Clock | None = None,
) -> Recovered:
    """Make a sound log at `target` of all that can be read of `source`, which is not touched.

    The place of a lost event is kept by a `capture.lost` (where "agl log recover"); an event whose blobs are gone stays
    as it is, and a `blobs.erased` at the end names them; a `capture.lost` there says what is not proved. Nobody may
    write to `source` meanwhile. Needs room for two copies beside `target`. Raises `LogCorrupt` when nothing of a log
    is in the file.
    """
    if target.exists():
        raise LogExists(str(target))
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder,
        contextlib.closing(salvaged(source, Path(folder))) as db,
    ):
        if db.execute("select not exists (select 1 from events)").fetchone()[0]:
            raise LogCorrupt(str(source), why="nothing of a log can be read from it")
        mended = _Mended(db, codec=codec or Codec(), now=(clock or System()).now())
        secret = db.execute("select value from secrets where name = 'log'").fetchone()
        sealed, seals = mended.seals()
        doubtful = tuple(mended.doubtful())
        assemble(
            target, mended.facts(), projections=projections, codec=codec, seals=seals,
            secret=bytes(secret[0]) if secret else None,
        )  # fmt: skip
    return Recovered(
        events=mended.head,
        lost=mended.lost,
        doubtful=doubtful,
        blobs=tuple(sorted(mended.blobs)),
        sealed=sealed,
        has_secret=bool(secret),
    )


class _Mended:
    """The facts of a salvage, with something in each place."""

    def __init__(self, db: sqlite3.Connection, *, codec: Codec, now: int) -> None:
        self._db, self._codec, self._now = db, codec, now
        self._walked: Recent[str] = Recent()
        self.blobs: set[str] = set()
        self._forget_far_off()
        self._unfit = dict(self._undecodable())
        self.head = max(db.execute(sql).fetchone()[0] or 0 for sql in _HEADS)
        self._broken = list(_seals.broken(db))
        while self._lose_what_is_nowhere():
            pass
        self.lost = tuple(
            Lost(first=first, last=last, why=why)
            for why in sorted(set(self._unfit.values()))
            for first, last in stretches(at for at, its in sorted(self._unfit.items()) if its == why)
        )

    def _forget_far_off(self) -> None:
        """A position of which bits are wrong may be any number; between it and the next there would be nothing."""
        far = self._db.execute("select count(*) * 10 + 100000 from events").fetchone()[0]
        cut = self._db.execute(_CUT, (far,)).fetchone()[0]
        if cut is not None:
            self._db.execute("delete from events where position >= ?", (cut,))
        last = self._db.execute("select coalesce(max(position), 0) from events").fetchone()[0]
        self._db.execute("delete from seals where position > ?", (last + far,))
        self._db.execute("update blobs set place = 0 where place >> 20 > ?", (last + far,))

    def _lose_what_is_nowhere(self) -> bool:
        """Whether an event that is not proved says it stands where no stream can have it; then it is lost."""
        self._unfit.update(dict.fromkeys(self._missing(), _UNREADABLE))
        self._places, impossible = self._given_places()
        found = [
            position
            for after, until in self._broken
            for position, stream in self._db.execute(
                "select position, stream from events where position > ? and position <= ?", (after, until)
            )
            if stream in impossible
        ]
        self._db.executemany("delete from events where position = ?", ((position,) for position in found))
        self._unfit.update(dict.fromkeys(found, _NOWHERE))
        return bool(found)

    def _undecodable(self) -> Iterator[tuple[int, str]]:
        """What is JSON and yet not the event it says it is was damaged too, and would stop every reader."""
        for position, type_, schema, data in self._db.execute("select position, type, schema, data from events"):
            try:
                readable(self._codec, type_, schema, data, self._get)
            except AglError as error:
                yield position, str(error)

    def _get(self, id_: str) -> bytes:
        found = self._db.execute("select content from blobs where id = ?", (id_,)).fetchone()
        if found is None:
            raise ContentErased(f"blob {id_}")
        return bytes(found[0])

    def _missing(self) -> Iterator[int]:
        expected = 1
        for (position,) in self._db.execute("select position from events order by position"):
            yield from range(expected, position)
            expected = position + 1
        yield from range(expected, self.head + 1)

    def seals(self) -> tuple[int, list[tuple[int, bytes]]]:
        """Those that hold, from the first on, and the position of the last."""
        until = min([self.head, *(after for after, _ in self._broken), *(position - 1 for position in self._unfit)])
        sql = "select position, hash from seals where position <= ? order by position"
        found = self._db.execute(sql, (until,)).fetchall()
        return (found[-1][0] if found else 0), found

    def doubtful(self) -> Iterator[tuple[int, int]]:
        """Stretches that are not what was sealed, if any event of theirs is kept."""
        for after, until in self._broken:
            if not all(position in self._unfit for position in range(after + 1, until + 1)):
                yield after + 1, until

    def facts(self) -> Iterator[Stored]:
        """Every place in order; then what is to be said of blobs."""
        for position in range(1, self.head + 1):
            if position in self._unfit:
                why = f"position {position}: {self._unfit[position]}"
                stream, version = self._places[position]
                event = CaptureLost(count=1, where=LOST, why=why)
                yield fact(self._codec, event, position=position, stream=stream, version=version, now=self._now)
            else:
                row = self._db.execute("select * from events where position = ?", (position,)).fetchone()
                yield Stored(row, tuple(self._fresh(row[6])))
        yield from self._farewell()

    def _fresh(self, data: str) -> Iterator[tuple[str, bytes]]:
        for mark, tip in references(data):
            at: str | None = tip
            while at is not None and at not in self._walked:
                try:
                    content = self._get(at)
                except ContentErased:
                    self.blobs.add(at)
                    break
                self._walked.add(at)
                yield at, content
                at = before(mark, content)

    def _farewell(self) -> Iterator[Stored]:
        """What is to be said at the end: in each stream that it is not proved, and in `log` which blobs are gone."""
        last: dict[str, int] = {}
        for number, (stream, event) in enumerate(self._words(), start=1):
            version = last[stream] = last.get(stream, self._version(stream)) + 1
            yield fact(self._codec, event, position=self.head + number, stream=stream, version=version, now=self._now)

    def _words(self) -> Iterator[tuple[str, Event]]:
        sql = "select stream, count(*) from events where position between ? and ? group by stream order by stream"
        for stretch in self.doubtful():
            why = f"positions {stretch[0]}-{stretch[1]}: kept, but not as they were sealed, or their seal is lost"
            for stream, count in self._db.execute(sql, stretch):
                yield stream, CaptureLost(count=count, where=LOST, why=why)
        self.blobs -= {id_ for (id_,) in self._db.execute(_NAMED_BEFORE)}
        ids = sorted(self.blobs)
        for start in range(0, len(ids), _NAMED):
            yield "log", BlobsErased(ids=tuple(ids[start : start + _NAMED]), why="lost to damage: `agl log recover`")

    def _version(self, stream: str) -> int:
        sql = "select coalesce(max(version), 0) from events where stream = ?"
        return int(self._db.execute(sql, (stream,)).fetchone()[0])

    def _given_places(self) -> tuple[dict[int, tuple[str, int]], set[str]]:
        """For each lost position a stream that misses a version just there, else `log/lost`; and impossible streams.

        The earliest deadline first: as the log was sound once, that gives every version that is missed a place. A
        stream that misses a version where no event is lost is impossible: it is a name that was damaged.
        """
        gaps: list[tuple[int, int, str, int]] = []
        impossible = set()
        for stream, version, position, last, since in self._db.execute(_GAPS):
            if since > position or version - last > self.head:
                impossible.add(stream)
                continue
            gaps.extend((since, position, stream, missing) for missing in range(last + 1, version))
        gaps.sort()
        open_: list[tuple[int, str, int]] = []
        places, taken = {}, 0
        extra = self._version("log/lost")
        for position in sorted(self._unfit):
            found = self._db.execute("select stream, version from events where position = ?", (position,)).fetchone()
            if found:  # it is there, and says nothing
                places[position] = found
                continue
            while taken < len(gaps) and gaps[taken][0] < position:
                _, until, stream, version = gaps[taken]
                heapq.heappush(open_, (until, stream, version))
                taken += 1
            while open_ and open_[0][0] < position:
                impossible.add(heapq.heappop(open_)[1])
            if open_:
                _, stream, version = heapq.heappop(open_)
                places[position] = stream, version
            else:
                extra += 1
                places[position] = "log/lost", extra
        impossible |= {stream for _, stream, _ in open_} | {stream for _, _, stream, _ in gaps[taken:]}
        return places, impossible
