"""Rows out of the pages of a broken database, whatever has become of what points at them.

Only leaves of tables are looked at (page type 13): each holds whole rows, but for the ends of long ones, which lie in
chains of pages of their own. A fact is never changed and a blob is named by its hash, so that an old page can tell
nothing that is wrong. See "B-tree Pages" and "Record Format" in SQLite's file format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["PAGE", "carved"]

PAGE = 4096
"""What our files have."""
_LEAF = 13
_LOCAL = PAGE - 35
_LEAST = (PAGE - 12) * 32 // 255 - 23
_WIDTHS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Row = tuple[int, tuple[Any, ...]]


def carved(path: Path) -> Iterator[Row]:
    """Row number and values of every row that can be read from the file's pages."""
    with path.open("rb") as file:
        last = path.stat().st_size // PAGE
        for number in range(1, last + 1):
            page = _page(file, number)
            start = 100 if number == 1 else 0  # the file's own header stands before the first page's
            if page[start] == _LEAF:
                yield from _rows(file, page, start, last)


def _rows(file: BinaryIO, page: bytes, start: int, last: int) -> Iterator[Row]:
    (count,) = struct.unpack_from(">H", page, start + 3)
    for cell in range(min(count, PAGE // 4)):
        try:
            (at,) = struct.unpack_from(">H", page, start + 8 + 2 * cell)
            yield _row(file, page, at, last)
        except (struct.error, IndexError, ValueError):  # garbage where a row was
            continue


def _row(file: BinaryIO, page: bytes, at: int, last: int) -> Row:
    length, at = _varint(page, at)
    rowid, at = _varint(page, at)
    if rowid >= 1 << 63 or length > last * PAGE:
        raise ValueError
    local = length
    if length > _LOCAL:
        local = _LEAST + (length - _LEAST) % (PAGE - 4)
        local = local if local <= _LOCAL else _LEAST
    payload = bytearray(page[at : at + local])
    if length > local:
        (following,) = struct.unpack_from(">I", page, at + local)
        while len(payload) < length:
            if not 1 <= following <= last:
                raise ValueError
            more = _page(file, following)
            (following,) = struct.unpack_from(">I", more)
            payload += more[4 : 4 + length - len(payload)]
    if len(payload) != length:
        raise ValueError
    return rowid, tuple(_values(bytes(payload)))


def _values(payload: bytes) -> Iterator[Any]:
    end, at = _varint(payload, 0)
    content = end
    while at < end:
        kind, at = _varint(payload, at)
        if kind >= 12:
            width = (kind - 12) // 2
            found = payload[content : content + width]
            if len(found) != width:
                raise ValueError
            yield found.decode() if kind % 2 else found
        else:
            width = _WIDTHS.get(kind, 8 if kind == 7 else 0)
            found = payload[content : content + width]
            yield _number(kind, found)
        content += width


def _number(kind: int, content: bytes) -> Any:
    match kind:
        case 0:
            return None
        case 7:
            return struct.unpack(">d", content)[0]
        case 8 | 9:
            return kind - 8
        case _ if kind in _WIDTHS:
            return int.from_bytes(content, "big", signed=True)
    raise ValueError


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for step in range(8):
        byte = content[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    return value << 8 | content[at + 8], at + 9


def _page(file: BinaryIO, number: int) -> bytes:
    file.seek((number - 1) * PAGE)
    return file.read(PAGE)
