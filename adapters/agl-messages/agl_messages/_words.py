"""When two messages say the same, whatever else stands with them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from agl_core.events import Message, Tool

__all__ = ["bare", "has_words", "toolbox", "with_ids", "words"]

_encode = partial(msgspec.json.encode, order="sorted")


def words(message: Message) -> Hashable:
    """What it says. Equal for what clients do to a message on its way back: an absent content that is empty now, a text
    in parts, arguments with other spaces, other ids, a mark where a provider is to cache."""  # noqa: D205, D209 - one paragraph
    return (
        message.role,
        _said(message.content),
        tuple((call.name, _meant(call.arguments)) for call in message.tool_calls),
    )


def has_words(message: Message) -> bool:
    """Whether it says anything at all."""
    return bool(message.content or message.tool_calls or message.extra.get("refusal"))


def bare(message: Message) -> Message:
    """Without the notes by which a dialect finds its own form again."""
    if not any(name.startswith("$") for name in message.extra):
        return message
    return replace(message, extra={name: value for name, value in message.extra.items() if not name.startswith("$")})


def with_ids(message: Message, echo: Message) -> Message:
    """With the ids of tool calls that its client goes on with: what follows answers those."""
    ids = [call.id for call in echo.tool_calls]
    if ids == [call.id for call in message.tool_calls]:
        return message
    calls = (replace(call, id=id_) for call, id_ in zip(message.tool_calls, ids, strict=True))
    return replace(message, tool_calls=tuple(calls))


def toolbox(tools: tuple[Tool, ...]) -> Hashable:
    """The tools, to tell whether others are the same."""
    return bytes(_encode(tools)) if tools else b""


def _said(content: Any) -> Hashable:
    match content:
        case None:
            return ""
        case str():
            return content
        case list() | tuple() if all(_is_text(part) for part in content):
            return "".join(part["text"] for part in content)
        case list() | tuple():
            return bytes(_encode([_unmarked(part) for part in content]))
    return bytes(_encode(content))


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _unmarked(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    return {name: value for name, value in part.items() if name != "cache_control"}


def _meant(arguments: str) -> Hashable:
    try:
        return bytes(_encode(msgspec.json.decode(arguments)))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return arguments
