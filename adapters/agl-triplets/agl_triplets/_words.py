"""Messages by their words: whether two say the same, and whether a history is another one cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from agl_core.events import Message

__all__ = ["Words", "is_cut", "same", "words"]

Words = tuple[str, str, tuple[tuple[str, str], ...]]

_OMISSION = re.compile(r"…|\.\.\.|truncat|omit|elid|\bcut\b|remov|clear|shorten|snip|trimm", re.IGNORECASE)
"""What people put where they took something out."""


def words(message: Message) -> Words:
    """Who says what. Not the whole message: clients drop what providers add, and write a text as one part or several;
    an absent content comes back empty."""  # noqa: D205, D209 - one paragraph
    return message.role, _text(message.content), tuple((call.name, call.arguments) for call in message.tool_calls)


def same(history: Sequence[Message], other: Sequence[Message]) -> bool:
    """Whether they say the same, message by message."""
    return len(history) == len(other) and all(
        one is another or words(one) == words(another) for one, another in zip(history, other, strict=True)
    )


def is_cut(history: Sequence[Message], *, of: Sequence[Message]) -> bool:
    """Whether `history` is `of` with messages taken out or shortened, and nothing put in but a mark of that."""
    is_shorter = len(history) < len(of)
    rest = iter(of)
    for message in history:
        for whole in rest:
            if words(message) == words(whole):
                break
            if _is_shortened(message, whole):
                is_shorter = True
                break
        else:
            return False
    return is_shorter


def _is_shortened(message: Message, whole: Message) -> bool:
    (role, text, calls), (whole_role, whole_text, whole_calls) = words(message), words(whole)
    if role != whole_role or calls != whole_calls or len(text) >= len(whole_text):
        return False
    start = _common(text, whole_text)
    end = _common(text[start:][::-1], whole_text[start:][::-1])
    left = text[start : len(text) - end].strip()
    return not left or bool(_OMISSION.search(left))


def _text(content: Any) -> str:
    match content:
        case None:
            return ""
        case str():
            return content
        case [*parts] if all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
            return "".join(part["text"] for part in parts)
    return repr(content)


def _common(left: str, right: str) -> int:
    pairs = zip(left, right, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))
