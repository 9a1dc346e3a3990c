"""Saying no in the words OpenAI clients understand: a status, a code, a message with the cure, never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agl_core.errors import AglError, BadValue, LeaseLost, ModelNotFound, PolicyNotLoaded, UnknownId

__all__ = ["Refused", "Reply", "refusal"]

_STATUS: Mapping[type[AglError], int] = {
    BadValue: 400,
    UnknownId: 404,
    ModelNotFound: 404,
    PolicyNotLoaded: 409,
    LeaseLost: 410,
}
_TYPES = {401: "authentication_error", 404: "not_found_error", 409: "conflict_error"}


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


def refusal(why: Exception) -> Reply:
    """The reply that says `why`."""
    match why:
        case Refused():
            return _reply(why.status, why.code, str(why), why.headers)
        case ModelNotFound():
            # The one code that is OpenAI's own: clients know it.
            return _reply(404, "model_not_found", str(why))
        case AglError():
            status = next((status for kind, status in _STATUS.items() if isinstance(why, kind)), 503)
            return _reply(status, why.code, str(why))
    return _reply(500, "GATEWAY_ERROR", f"the gateway failed: {type(why).__name__}; its log has the place")


def _reply(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    error: dict[str, Any] = {"message": message, "type": kind, "param": None, "code": code}
    return Reply(status, msgspec.json.encode({"error": error}), headers or {})
