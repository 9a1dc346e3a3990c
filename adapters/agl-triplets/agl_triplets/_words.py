"""Messages by their words: whether two say the same, and whether a history is another one cut."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agl_core.adapter import words
from agl_core.events import Message

__all__ = ["is_cut", "same"]

_OMISSION = re.compile(r"…|\.\.\.|truncat|omit|elid|\bcut\b|remov|clear|shorten|snip|trimm", re.IGNORECASE)
"""What people put where they took something out."""


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
    said, all_of_it = words(message), words(whole)
    if said.role != all_of_it.role or said.calls != all_of_it.calls or len(said.text) >= len(all_of_it.text):
        return False
    start = _common(said.text, all_of_it.text)
    end = _common(said.text[start:][::-1], all_of_it.text[start:][::-1])
    left = said.text[start : len(said.text) - end].strip()
    return not left or bool(_OMISSION.search(left))


def _common(left: str, right: str) -> int:
    pairs = zip(left, right, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))
