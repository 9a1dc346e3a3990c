"""Why a provider refused, as one stable word."""

from __future__ import annotations

from typing import Any

__all__ = ["error_code"]

_TOO_LONG = "context_length_exceeded"
# Servers that give no code for an overlong prompt say one of these.
_TOO_LONG_SIGNS = ("maximum context length", "context_length_exceeded", "longer than the maximum model length")


def error_code(status: int, body: Any) -> str:
    """The provider's own code, else its error type, else `http_503` and the like; overlong prompts always alike."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return f"http_{status}"
    message = error.get("message")
    if isinstance(message, str) and any(sign in message for sign in _TOO_LONG_SIGNS):
        return _TOO_LONG
    words = (error.get("code"), error.get("type"))
    return next((word for word in words if isinstance(word, str) and word), f"http_{status}")
