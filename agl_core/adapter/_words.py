"""When two messages say the same, whatever else stands with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agl_core.events import Message

__all__ = ["Words", "words"]

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Words:
    """What a message says."""

    role: str
    text: str
    """JSON of a content that is more than text."""
    calls: tuple[tuple[str, str], ...]
    """Name and arguments of each."""


def words(message: Message) -> Words:
    """What it says. Equal for what clients do to a message on its way back: an absent content that is empty now, a text
    in parts, arguments with other spaces, other ids, a mark where a provider is to cache."""  # noqa: D205, D209 - one paragraph
    calls = tuple((call.name, _meant(call.arguments)) for call in message.tool_calls)
    return Words(message.role, _text(message.content), calls)


def _text(content: Any) -> str:
    match content:
        case None:
            return ""
        case str():
            return content
        case list() | tuple() if all(_is_text(part) for part in content):
            return "".join(part["text"] for part in content)
        case list() | tuple():
            return _encode([_unmarked(part) for part in content]).decode()
    return _encode(content).decode()


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _unmarked(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    return {name: value for name, value in part.items() if name != "cache_control"}


def _meant(arguments: str) -> str:
    try:
        return _encode(msgspec.json.decode(arguments)).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return arguments
