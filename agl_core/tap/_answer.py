"""What a provider answers, put together beside the agent's own reading of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from agl_core.tap._asked import Asked
from agl_core.wire import error_code
from agl_core.wire.sse import Events

__all__ = ["Answer", "Cut", "Verdict"]

Decode = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Why an answer ended before its end."""

    error: str
    status: Literal["error", "broken"] = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a call."""

    status: Literal["ok", "error", "broken"]
    error: str | None
    body: dict[str, Any]


class Answer:
    """An answer as its bytes come in.

    With `decode`, they are compressed: they are kept, and read at the end.
    """

    def __init__(self, asked: Asked, *, http_status: int, content_type: str, decode: Decode | None) -> None:
        self.http_status = http_status
        self._asked, self._decode = asked, decode
        self._pieces: list[bytes] = []
        self.is_streamed = 200 <= http_status < 300 and content_type.startswith("text/event-stream")
        if self.is_streamed:
            self._events, self._assembly = Events(), asked.dialect.assembly(asked.body)

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        if self.is_streamed and self._decode is None:
            self._feed(piece)
        else:
            self._pieces.append(piece)

    def verdict(self, cut: Cut | None) -> Verdict:
        """What it was; `cut` says why no more of it came, if it did not end by itself."""
        raw = b"".join(self._pieces)
        if self._decode is not None:
            raw = self._decode(raw)
        if self.is_streamed:
            self._feed(raw)
            return self._streamed(cut)
        body = self._read(raw)
        if not 200 <= self.http_status < 300:
            return Verdict(status="error", error=error_code(self.http_status, body), body=body or {})
        # Half of a JSON object is none: what can be read is whole, even if it was hung up on.
        if body is not None:
            return Verdict(status="ok", error=None, body=body)
        cut = cut or Cut(status="error", error="upstream_not_json")
        return Verdict(status=cut.status, error=cut.error, body={})

    def _read(self, raw: bytes) -> dict[str, Any] | None:
        try:
            return self._asked.dialect.read(raw, self._asked.body)
        except ValueError:
            return None

    def _feed(self, piece: bytes) -> None:
        for event in self._events.feed(piece):
            self._assembly.add(event)  # also when it is whole: usage comes last

    def _streamed(self, cut: Cut | None) -> Verdict:
        body = self._assembly.body()
        if (error := self._assembly.error) is not None:
            return Verdict(status="error", error=error, body=body)
        if self._assembly.is_whole:
            return Verdict(status="ok", error=None, body=body)
        cut = cut or Cut(error="upstream_broken")
        return Verdict(status=cut.status, error=cut.error, body=body)
