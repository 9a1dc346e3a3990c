"""The engine's routes, and how its errors are told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec

from agl_core.engine import Answer, Loopback, Refusal
from agl_core.errors import AglError, BadValue, EngineError, EngineFailed, ModelNotFound, PromptTooLong

__all__ = ["Completion", "serving"]

Completion = Callable[[bytes], Awaitable[bytes | AsyncGenerator[bytes]]]
"""A chat completion for a body: whole, or events as they come."""


def serving(complete: Completion, *, model: str, max_len: int, key: str) -> Loopback:
    """A door behind which `complete` answers for one model, to who has the key."""

    async def handle(method: str, path: str, body: bytes) -> Answer:
        match method, path:
            case "POST", "/v1/chat/completions":
                return await complete(body)
            case "GET", "/v1/models":
                listed = {"id": model, "object": "model", "created": 0, "owned_by": "agl", "max_model_len": max_len}
                return msgspec.json.encode({"object": "list", "data": [listed]})
            case "GET", "/health":
                return b"{}"
            case _:
                raise _NoRoute(f"{method} {path} is not served: POST /v1/chat/completions is")

    return Loopback(handle, refuse=_refusal, name="agl-transformers", key=key)


class _NoRoute(EngineError):
    """Nothing is served there."""

    code = "NOT_FOUND"


def _refusal(error: Exception) -> Refusal:
    match error:
        case PromptTooLong():
            status, code = 400, "context_length_exceeded"
        case ModelNotFound():
            status, code = 404, "model_not_found"
        case BadValue():
            status, code = 400, "invalid_value"
        case _NoRoute():
            status, code = 404, "not_found"
        case EngineFailed():
            status, code = 503, "engine_failed"
        case AglError():
            status, code = 500, error.code.lower()
        case _:  # a bug of ours
            return Refusal(status=500, code="engine_error", message=f"{type(error).__name__}: {error}")
    param = error.facts.get("what") if isinstance(error, BadValue) else None
    return Refusal(status=status, code=code, message=str(error), param=param)
