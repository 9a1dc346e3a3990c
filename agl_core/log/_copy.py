"""A log in a new file, without what was to be erased: each erased fact keeps its place, and its leaf in the seals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agl_core.clock import Clock, System
from agl_core.codec import Codec
from agl_core.errors import BadValue
from agl_core.events import NoteTaken
from agl_core.log import _seals
from agl_core.log._assemble import assemble
from agl_core.log._blobs import needed
from agl_core.log._fact import fact
from agl_core.log._memory import Recent
from agl_core.log._protocol import Projection
from agl_core.log._sqlite import SqliteLog
from agl_core.log._stored import Stored, stored

__all__ = ["Copied", "copy"]

_DATA = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied."""

    events: int
    """Of the log that was copied; the facts about what was erased come after."""
    erased: dict[str, int]
    """Stream to how many of its events were erased."""


def copy(
    source: Path,
    target: Path,
    *,
    erase: Collection[str] = (),
    why: str = "",
    projections: Sequence[Projection] = (),
    codec: Codec | None = None,
    clock: Clock | None = None,
    progress: Callable[[int], None] = lambda _position: None,
) -> Copied:
    """Copy a log as it is at this moment, also while others write to it; without the streams in `erase`.

    Of an erased event the envelope stays, and `{"erased": ...}` for its data; its blobs go, unless another event needs
    them. The copy has the same seals and the same key. Raises `LogExists` when something is at `target`.
    """
    codec = codec or Codec()
    with SqliteLog(source, readonly=True, codec=codec) as log:
        head = log.head()
        erased = {stream: _events(log, stream, head) for stream in sorted(set(erase))}
        facts = _without(log, erased, head) if erased else stored(log, until=head)
        seals = log.rows("select position, hash from seals where position <= ? order by position", (head,))
        now = (clock or System()).now()
        assemble(
            target, _with_word(log, facts, erased, head=head, codec=codec, why=why, now=now), projections=projections,
            codec=codec, seals=seals, secret=log.secret(), progress=progress,
        )  # fmt: skip
    return Copied(events=head, erased=erased)


def _events(log: SqliteLog, stream: str, head: int) -> int:
    if stream == "log":
        raise BadValue("erase", stream, why="it says what else was erased")
    sql = "select count(*) from events where stream = ? and position <= ?"
    count = int(log.rows(sql, (stream, head))[0][0])
    if not count:
        raise BadValue("erase", stream, why="the log has no such stream, as rollout/ro-... is one")
    return count


def _without(log: SqliteLog, erased: Collection[str], head: int) -> Iterator[Stored]:
    """Every event; its blobs anew, since one that an erased event brought may be needed by another."""
    walked: Recent[str] = Recent()

    def get(id_: str) -> bytes | None:
        found = log.rows("select content from blobs where id = ?", (id_,))
        return bytes(found[0][0]) if found else None

    for one in stored(log, until=head):
        row = one.row
        if row[2] in erased:
            data = f'{{"erased":"b2:{_seals.leaf(row).hex()}"}}'
            yield Stored((*row[:_DATA], data, *row[_DATA + 1 :]))
        else:
            blobs = []
            for id_, content in needed(row[_DATA], get, walked):
                walked.add(id_)
                blobs.append((id_, content))
            yield Stored(row, blobs)


def _with_word(
    log: SqliteLog, facts: Iterator[Stored], erased: dict[str, int], *, head: int, codec: Codec, why: str, now: int
) -> Iterator[Stored]:
    """The facts, and one about each stream that was erased."""
    yield from facts
    sql = "select coalesce(max(version), 0) from events where stream = 'log' and position <= ?"
    version = log.rows(sql, (head,))[0][0]
    for number, (stream, events) in enumerate(erased.items(), start=1):
        text = f"{stream} was erased" + (f": {why}" if why else "")
        note = NoteTaken(text=text, data={"erased": stream, "events": events, "why": why})
        yield fact(codec, note, position=head + number, stream="log", version=version + number, now=now)
