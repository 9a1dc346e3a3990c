"""Bodies as they come in: inflated piece by piece, and never more of them than there is room for."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from agl_core.gateway._refusals import Refused

__all__ = ["Bodies", "ClientGone", "Receive"]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_GZIP = 31
"""zlib's word for a gzip header before the window."""
_STEP = 1 << 20
_DRAINED = 8
"""Bodies of that many times the limit are read to their end; of bigger ones the sender hears nothing."""


class ClientGone(Exception):
    """Nobody listens for an answer."""


class Bodies:
    """Reads bodies of `limit` bytes after they are inflated, all together of at most `room` at any time."""

    def __init__(self, *, limit: int, room: int = sys.maxsize, cure: str = "send less at a time") -> None:
        self._limit, self._room, self._cure = limit, room, cure
        self._held = 0

    async def read(self, receive: Receive, *, encoding: str = "") -> bytes:
        """The body of a request; `Refused` when it is too big, cannot be inflated, or finds no room just now."""
        inflated = _Gzip() if encoding == "gzip" else None
        pieces: list[bytes] = []
        size, sent, more = 0, 0, True
        refused: Refused | None = None
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                sent += len(chunk)
                more = message.get("more_body", False) and sent < _DRAINED * self._limit
                if refused is not None:
                    continue  # read on, and keep nothing: who is still sending does not hear that it is too much
                for piece in inflated.pieces(chunk) if inflated else [chunk]:
                    size += len(piece)
                    self._held += len(piece)
                    pieces.append(piece)
                    if (refused := self._refusal(size)) is not None:
                        pieces.clear()
                        break
                    if inflated:
                        await asyncio.sleep(0)  # others have their turn: a small body may inflate to a big one
            if refused is not None:
                raise refused
            if inflated is not None:
                inflated.end()
            return b"".join(pieces)
        except zlib.error as error:
            raise Refused(400, "BAD_GZIP", f"the body is no gzip: {error}") from None
        finally:
            self._held -= size

    def _refusal(self, size: int) -> Refused | None:
        if size > self._limit:
            why = f"a request has at most {self._limit} bytes: {self._cure}"
            return Refused(413, "BODY_TOO_BIG", why, headers={"connection": "close"})
        if self._held > self._room:
            why = "too much is being received at once: send it again in a moment"
            return Refused(429, "TOO_BUSY", why, headers={"retry-after": "1"})
        return None


class _Gzip:
    """Inflates what comes in any pieces, of one member after the other."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP)
        self._has_begun = False

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What it says, a little at a time; `zlib.error` when it is no gzip."""
        while chunk:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(_GZIP)
            self._has_begun = True
            yield self._inflater.decompress(chunk, _STEP)
            chunk = self._inflater.unused_data or self._inflater.unconsumed_tail

    def end(self) -> None:
        """`zlib.error` when more should have come."""
        if self._has_begun and not self._inflater.eof:
            raise zlib.error("it ends before its end")
