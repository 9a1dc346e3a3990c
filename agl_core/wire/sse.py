"""Server-sent events, a piece of bytes at a time: what they say, and the very bytes they came as.

The format is that of the HTML standard, section 9.2.6; fields other than `event` and `data` are passed on unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

__all__ = ["Events", "Sent", "said"]

_END = re.compile(rb"\r\n\r\n|\n\r?\n|\r\r")
_LINES = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Sent:
    """One event."""

    raw: bytes
    """As it came, its blank line included."""
    data: str | None = None
    """Null when it was only a comment."""
    event: str | None = None

    def json(self) -> dict[str, Any] | None:
        """The object in `data`; null when there is none."""
        if self.data is None:
            return None
        try:
            found = msgspec.json.decode(self.data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def said(data: Any, *, event: str | None = None) -> bytes:
    """An event that says `data`, as JSON unless it is text."""
    text = data.encode() if isinstance(data, str) else msgspec.json.encode(data)
    name = f"event: {event}\n".encode() if event else b""
    return b"%bdata: %b\n\n" % (name, text)


class Events:
    """Cuts a stream of bytes into events, wherever the pieces end."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[Sent]:
        """The events that are whole with this piece."""
        start = max(0, len(self._rest) - 3)
        self._rest += piece
        cut = 0
        while (end := _END.search(self._rest, max(start, cut))) is not None:
            yield _read(bytes(self._rest[cut : end.end()]))
            cut = end.end()
        del self._rest[:cut]

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._rest)


def _read(raw: bytes) -> Sent:
    data: list[str] = []
    event = None
    for line in _LINES.split(raw.decode("utf-8", "replace")):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
    return Sent(raw, "\n".join(data) if data else None, event)
