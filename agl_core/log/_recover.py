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
from agl_core.events import BlobsErased, CaptureLost
from agl_core.log import _seals
from agl_core.log._assemble import Stored, assemble
from agl_core.log._erased import readable
from agl_core.log._fact import fact
from agl_core.log._foreign import LOST
from agl_core.log._memory import Recent
from agl_core.log._protocol import Projection
from agl_core.log._salvage import salvaged, stretches

__all__ = ["Lost", "Recovered", "recover"]

_NAMED = 500
"""Blobs that one `blobs.erased` names."""
_UNREADABLE = "no page that can be read holds it"

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
    blobs: tuple[str, ...] = ()
    """Blobs that events still name and that are gone."""
    sealed: int
    """Up to here the seals are those of the damaged file; what stands behind is sealed anew."""
    has_secret: bool = True
    """Whether the log's own key was saved; if not, tokens it made are worth nothing any more."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost."""
        return not self.lost and not self.blobs and self.has_secret


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
    as it is, and a `blobs.erased` at the end names them. Nobody may write to `source` meanwhile. Needs room for two
    copies beside `target`. Raises `LogCorrupt` when nothing of a log is in the file.
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
        assemble(
            target, mended.facts(), projections=projections, codec=codec, seals=seals,
            secret=bytes(secret[0]) if secret else None,
        )  # fmt: skip
    return Recovered(
        events=mended.head, lost=mended.lost, blobs=tuple(sorted(mended.blobs)), sealed=sealed, has_secret=bool(secret)
    )


class _Mended:
    """The facts of a salvage, with something in each place."""

    def __init__(self, db: sqlite3.Connection, *, codec: Codec, now: int) -> None:
        self._db, self._codec, self._now = db, codec, now
        self._walked: Recent[str] = Recent()
        self.blobs: set[str] = set()
        self._unfit = dict(self._undecodable())
        places = (
            "select max(position) from events",
            "select max(position) from seals",
            "select max(place) >> 20 from blobs",
        )
        self.head = max(db.execute(sql).fetchone()[0] or 0 for sql in places)
        self._unfit.update(dict.fromkeys(self._missing(), _UNREADABLE))
        self.lost = tuple(
            Lost(first=first, last=last, why=why)
            for why in sorted(set(self._unfit.values()))
            for first, last in stretches(at for at, its in sorted(self._unfit.items()) if its == why)
        )

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
        broken = next(_seals.broken(self._db), None)
        until = min([self.head if broken is None else broken[0], *(position - 1 for position in self._unfit)])
        kept = self._db.execute("select position, hash from seals where position <= ? order by position", (until,))
        found = kept.fetchall()
        return (found[-1][0] if found else 0), found

    def facts(self) -> Iterator[Stored]:
        """Every place in order; then what is to be said of blobs."""
        places = self._places()
        for position in range(1, self.head + 1):
            if position in self._unfit:
                why = f"position {position}: {self._unfit[position]}"
                stream, version = places[position]
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
        named = {id_ for (id_,) in self._db.execute(
            "select one.value from events, json_each(data, '$.ids') one where events.type = 'blobs.erased'"
        )}  # fmt: skip
        self.blobs -= named
        ids = sorted(self.blobs)
        version = self._version("log")
        for number, start in enumerate(range(0, len(ids), _NAMED), start=1):
            event = BlobsErased(ids=tuple(ids[start : start + _NAMED]), why="lost to damage: `agl log recover`")
            yield fact(
                self._codec, event, position=self.head + number, stream="log", version=version + number, now=self._now
            )

    def _version(self, stream: str) -> int:
        sql = "select coalesce(max(version), 0) from events where stream = ?"
        return int(self._db.execute(sql, (stream,)).fetchone()[0])

    def _places(self) -> dict[int, tuple[str, int]]:
        """For each lost position a stream that misses a version just there, else `log/lost`.

        The earliest deadline first: as the log was sound once, that gives every version that is missed a place.
        """
        gaps: list[tuple[int, int, str, int]] = []
        for stream, version, position, last, since in self._db.execute(_GAPS):
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
            if open_:
                _, stream, version = heapq.heappop(open_)
                places[position] = stream, version
            else:
                extra += 1
                places[position] = "log/lost", extra
        return places
