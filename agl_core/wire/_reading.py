"""A chat completion read from its bytes, without making an object of every token's name that nobody wants.

Hundreds of small dictionaries in each answer are what the garbage collector works for, and all else waits for it.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["lean"]


class _Token(msgspec.Struct, gc=False):
    logprob: float


class _Logprobs(msgspec.Struct, gc=False):
    content: list[_Token] | None = None


_BODY = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHOICES = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_LOGPROBS = msgspec.json.Decoder(_Logprobs | None)


def lean(raw: bytes) -> dict[str, Any] | None:
    """The body, each entry of its log-probabilities only the number; None where it is not of the usual shape."""
    try:
        parts = _BODY.decode(raw)
        choices = [_choice(choice) for choice in _CHOICES.decode(parts["choices"])]
        return {name: choices if name == "choices" else msgspec.json.decode(part) for name, part in parts.items()}
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
        return None


def _choice(parts: dict[str, msgspec.Raw]) -> dict[str, Any]:
    return {name: _numbers(part) if name == "logprobs" else msgspec.json.decode(part) for name, part in parts.items()}


def _numbers(part: msgspec.Raw) -> dict[str, list[float] | None] | None:
    logprobs = _LOGPROBS.decode(part)
    if logprobs is None:
        return None
    return {"content": None if logprobs.content is None else [entry.logprob for entry in logprobs.content]}
