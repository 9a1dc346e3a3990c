"""A streamed answer on its way through: shown piece by piece as it comes, its end held back until the call is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from agl_core.clock import Clock
from agl_core.gateway._refusals import Refused
from agl_core.wire import Dialect
from agl_core.wire.sse import Events

__all__ = ["Out", "Relay"]


class Out(Protocol):
    """The way back to who asked."""

    async def start(self, status: int, headers: Mapping[str, str], content_type: str) -> None:
        """Say that an answer begins."""
        ...

    async def piece(self, content: bytes) -> None:
        """Send more of it."""
        ...


class Relay:
    """Of one call."""

    def __init__(self, dialect: Dialect, asked: Mapping[str, Any], out: Out, *, clock: Clock) -> None:
        self._dialect, self._out, self._clock = dialect, out, clock
        self._assembly = dialect.assembly(asked)
        self._events = Events()
        self._held = b""
        self.has_begun = False
        self.first_piece_at: int | None = None
        """Nanoseconds; null until something has come."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return self._assembly.is_whole

    @property
    def error(self) -> str | None:
        """What the stream itself said went wrong."""
        return self._assembly.error

    def body(self) -> dict[str, Any]:
        """The answer, as far as it has come."""
        return self._assembly.body()

    async def start(self, status: int, headers: Mapping[str, str], content_type: str) -> None:
        """The endpoint begins to answer."""
        self.has_begun = True
        await self._out.start(status, headers, content_type)

    async def piece(self, content: bytes) -> None:
        """More of the answer: what is whole goes on at once, unless it may be the end of it."""
        if self.first_piece_at is None:
            self.first_piece_at = self._clock.now()
        shown = []
        for event in self._events.feed(content):
            self._held += self._assembly.add(event)
            if not self._assembly.is_whole:
                shown.append(self._held)
                self._held = b""
        if ready := b"".join(shown):
            await self._out.piece(ready)

    async def end(self, refused: Refused | None) -> None:
        """The call is kept: let the end of its answer go, or say in the dialect's own words that there is none."""
        rest = self._held + self._events.rest if refused is None else self._dialect.broken(refused.code, str(refused))
        if rest:
            await self._out.piece(rest)
