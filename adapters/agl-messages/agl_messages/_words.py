"""Messages and tools, as far as they matter to a conversation that goes on."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import partial

import msgspec

from agl_core.events import Message, Tool

__all__ = ["bare", "has_words", "toolbox", "with_ids"]

_encode = partial(msgspec.json.encode, order="sorted")


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
