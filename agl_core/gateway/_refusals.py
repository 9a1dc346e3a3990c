"""Saying no in words that clients understand: a status, a code, a message with the cure, never a traceback."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agl_core.errors import AglError, BadValue, LeaseLost, ModelNotFound, PolicyNotLoaded, UnknownId
from agl_core.wire import Dialect, openai_chat

__all__ = ["Refused", "Reply", "durable"]

_STATUS: Mapping[type[AglError], int] = {
    BadValue: 400,
    UnknownId: 404,
    ModelNotFound: 404,
    PolicyNotLoaded: 409,
    LeaseLost: 410,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP, ready to send."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class Refused(Exception):
    """The gateway does not do it; the agent gets the reason."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}

    @classmethod
    def because(cls, error: AglError) -> Refused:
        """The refusal that tells one of our errors."""
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 503)
        # The one code that is OpenAI's own, because its clients know it.
        code = "model_not_found" if isinstance(error, ModelNotFound) else error.code
        return cls(status, code, str(error))

    def reply(self, dialect: Dialect = openai_chat) -> Reply:
        """The same as an answer, in the shape that clients of the dialect read."""
        return Reply(self.status, msgspec.json.encode(dialect.refusal(self.status, self.code, str(self))), self.headers)


async def durable(kept: Awaitable[Any]) -> None:
    """Wait for the log; a call that cannot be kept is refused, and the reason is the log's."""
    try:
        await kept
    except AglError as error:
        raise Refused.because(error) from error
    except OSError as error:
        raise Refused(503, "CAPTURE_FAILED", f"the call cannot be kept ({error}); it is refused, not lost") from error
