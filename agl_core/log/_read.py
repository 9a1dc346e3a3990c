"""Reading: a page of rows at a time, decoded one by one, so that no reader holds the file, or much of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from typing import Any

from agl_core.codec import Codec
from agl_core.log._blobs import fetch, place
from agl_core.log._erased import Get, readable
from agl_core.record import Record

__all__ = ["Reader", "record"]

_ROWS = 500
_BYTES = 8 << 20
"""Of rows, and of blobs, that a page holds; one that is longer is a page of its own."""

_AHEAD = "select id, content from blobs where place >= ? and place < ? order by place"

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]


def record(codec: Codec, row: Any, get: Get) -> Record:
    """A row of `events`, decoded."""
    position, id_, stream, version, type_, schema, data, key, cause, story, actor, occurred, recorded = row
    return Record(
        position=position, id=id_, stream=stream, version=version, event=readable(codec, type_, schema, data, get),
        key=key, causation_id=cause, correlation_id=story, actor=actor, occurred_at=occurred, recorded_at=recorded,
    )  # fmt: skip


class Reader:
    """Walks the log, or what is asked for of it."""

    def __init__(self, reading: Reading, codec: Codec) -> None:
        self._reading, self._codec = reading, codec

    def read(
        self, *, after: int, until: int | None, stream: str | None, types: Collection[str], limit: int | None
    ) -> Iterator[Record]:
        """Records in order."""
        left = limit
        while left is None or left > 0:
            wanted = _ROWS if left is None else min(left, _ROWS)
            rows, blobs, is_last = self._page(after, until, stream, types, wanted)
            get = self._getting(blobs)
            for row in rows:
                yield record(self._codec, row, get)
            if is_last:
                return
            after = rows[-1][0]
            left = None if left is None else left - len(rows)

    def _page(
        self, after: int, until: int | None, stream: str | None, types: Collection[str], wanted: int
    ) -> tuple[list[Any], dict[str, bytes], bool]:
        """Rows, the blobs that came with them, and whether these are the last rows."""
        where, parameters = ["position > ?"], [after, *_given(until), *_given(stream), *types, wanted]
        if until is not None:
            where.append("position <= ?")
        if stream is not None:
            where.append("stream = ?")
        if types:
            where.append(f"type in ({', '.join('?' * len(types))})")
        sql = f"select * from events where {' and '.join(where)} order by position limit ?"  # noqa: S608 - only marks
        with self._reading() as db:
            rows, is_cut = _within(db.execute(sql, parameters), lambda row: len(row[6]))
            blobs: dict[str, bytes] = {}
            if rows and stream is None and not types:
                # Most of what a stretch of the log refers to came with it: one walk, not a search for each.
                stretch = (place(rows[0][0], 0), place(rows[-1][0] + 1, 0))
                ahead = db.execute(
                    "select id, content from blobs where place >= ? and place < ? order by place", stretch
                )
                blobs = dict(_within(ahead, lambda blob: len(blob[1]))[0])
        return rows, blobs, len(rows) < wanted and not is_cut

    def _getting(self, blobs: dict[str, bytes]) -> Get:
        def get(id_: str) -> bytes:
            content = blobs.get(id_)
            if content is not None:
                return content
            with self._reading() as db:
                return fetch(db)(id_)

        return get


def _within(cursor: sqlite3.Cursor, size: Callable[[Any], int]) -> tuple[list[Any], bool]:
    """Rows up to the bytes of a page, and whether more were left."""
    rows, total = [], 0
    for row in cursor:
        rows.append(row)
        total += size(row)
        if total > _BYTES:
            cursor.close()
            return rows, True
    return rows, False


def _given(value: Any) -> list[Any]:
    return [] if value is None else [value]
