"""What went wrong, as OpenAI's API says it: the provider's own status, a code, and nobody's key."""

from __future__ import annotations

from collections.abc import Mapping

from any_llm import exceptions as library
from pydantic import ValidationError

from agl_core.engine import Refusal
from agl_core.errors import AglError, BadValue, ModelNotFound

__all__ = ["NoRoute", "refusal"]

_KINDS: tuple[tuple[type[library.AnyLLMError], int, str], ...] = (
    (library.UnsupportedParameterError, 400, "unsupported_parameter"),
    (library.ContextLengthExceededError, 400, "context_length_exceeded"),
    (library.ContentFilterError, 400, "content_filter"),
    (library.InvalidRequestError, 400, "invalid_request"),
    (library.AuthenticationError, 401, "invalid_api_key"),
    (library.InsufficientFundsError, 402, "insufficient_quota"),
    (library.ModelNotFoundError, 404, "model_not_found"),
    (library.RateLimitError, 429, "rate_limit_exceeded"),
    (library.GatewayTimeoutError, 504, "provider_timeout"),
)
"""Kinds of failure that the library tells apart, with a status for those that never had one."""
_OURS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What Python raises of itself: asked again, it would be raised again."""
_RETRY_AFTER = ("retry-after", "retry-after-ms")


class NoRoute(Exception):
    """Nothing is served there."""


def refusal(error: Exception) -> Refusal:
    """How it is told."""
    match error:
        case NoRoute():
            return Refusal(status=404, code="not_found", message=str(error))
        case ModelNotFound():
            return Refusal(status=404, code="model_not_found", message=str(error))
        case BadValue():
            return Refusal(status=400, code="invalid_value", message=str(error))
        case AglError():
            return Refusal(status=500, code=error.code.lower(), message=str(error))
        case library.AnyLLMError():
            return _of_library(error)
        case ValidationError():
            told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            return Refusal(status=400, code="invalid_value", message=told)
        case NotImplementedError():
            return Refusal(status=400, code="not_supported", message=str(error))
        case _:
            return Refusal(status=500, code="engine_error", message=f"{type(error).__name__}: {error}")


def _of_library(error: library.AnyLLMError) -> Refusal:
    status, code = next(((status, code) for kind, status, code in _KINDS if isinstance(error, kind)), (None, None))
    if status is None:
        # No status means that no answer came, or none that could be read.
        status = 500 if isinstance(error.original_exception, _OURS) else 502
    if error.status_code is not None and error.status_code >= 400:  # in a stream it may be the stream's 200
        status = error.status_code
    code = code or error.code or error.error_type or "provider_error"
    return Refusal(status=status, code=code, message=str(error), headers=_wait(error))


def _wait(error: library.AnyLLMError) -> dict[str, str]:
    """When to ask again, if the provider said so; SDKs keep headers in one of two places."""
    cause = error.original_exception
    for place in (cause, getattr(cause, "response", None)):
        headers = getattr(place, "headers", None)
        if isinstance(headers, Mapping):
            given = {str(name).lower(): str(value) for name, value in headers.items()}
            return {name: given[name] for name in _RETRY_AFTER if name in given}
    return {}
