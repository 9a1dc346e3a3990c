"""What a library put into a span, as JSON has it."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

__all__ = ["plain"]

_DEEPEST = 32
"""What lies deeper is told as text."""


def plain(value: Any, *, inside: tuple[int, ...] = ()) -> Any:
    """The value in JSON's own kinds; bytes as base64, and what JSON has no word for as text. Never raises.

    `inside` are the containers that it lies in, by `id`: one that holds itself is told as text there.
    """
    is_open = len(inside) < _DEEPEST and id(value) not in inside
    match value:
        # By their exact types: a library's own kind of text is encoded by nobody but that library.
        case None | bool():
            return value
        case int() | str() if type(value) in {int, str}:
            return value
        case float() if type(value) is float and math.isfinite(value):
            return value
        case Enum() if isinstance(value, int | float | str):
            return plain(value.value)
        case bytes():
            return base64.b64encode(value).decode()
        case Mapping() if is_open:
            return {_text(name): plain(inner, inside=(*inside, id(value))) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset() if is_open:
            return [plain(inner, inside=(*inside, id(value))) for inner in value]
        case _:
            return _text(value)


def _text(value: Any) -> str:
    try:
        # A copy that is nothing but text: `str` of a kind of its own may be that kind again.
        return "".join(str(value))
    except Exception as error:  # noqa: BLE001 - a guest's own code says what it is called
        return f"<{type(value).__name__} that cannot be written: {type(error).__name__}>"
