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

# The last is for lines that end now in LF, now in CR; a CR may be half of a CRLF until the byte after it has come.
_END = re.compile(rb"\r\n\r\n|\n\r?\n|\r\r|\n\r(?=[^\n])")
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
    lines = b"".join(b"data: %b\n" % line for line in text.split(b"\n"))
    return b"%b%b\n" % (name, lines)


class Events:
    """Cuts a stream of bytes into events, wherever the pieces end."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        """No event ends before this place in the rest."""
        self._is_started = False

    def feed(self, piece: bytes) -> Iterator[Sent]:
        """The events that are whole with this piece; one that is not taken comes with the next piece."""
        self._rest += piece
        return self._whole()

    @property
    def rest(self) -> bytes:
        """What came after the last event that was taken."""
        return bytes(self._rest)

    def _whole(self) -> Iterator[Sent]:
        while (end := self._end()) is not None:
            raw = bytes(memoryview(self._rest)[:end])
            del self._rest[:end]  # before it is given away: who takes it may not come back for the next
            self._searched = 0
            is_first, self._is_started = not self._is_started, True
            yield _read(raw, is_first=is_first)
        self._searched = max(0, len(self._rest) - 3)

    def _end(self) -> int | None:
        """Where the next event ends, if it has come."""
        if self._rest.find(b"\r", self._searched) < 0:  # as almost everybody writes, and found ten times as fast
            place = self._rest.find(b"\n\n", self._searched)
            return place + 2 if place >= 0 else None
        found = _END.search(self._rest, self._searched)
        return found.end() if found is not None else None


def _read(raw: bytes, *, is_first: bool) -> Sent:
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return Sent(raw, raw[6:-2].decode("utf-8", "replace"))  # one line, which says it all
    data: list[str] = []
    event = None
    # A stream may start with a byte order mark, which is no part of the first field's name.
    for line in _LINES.split(raw.decode("utf-8-sig" if is_first else "utf-8", "replace")):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
    return Sent(raw, "\n".join(data) if data else None, event)
