"""`--set KEY=VALUE`: values as JSON where they are, else as the text itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agl_core.errors import BadValue

__all__ = ["assigned"]


def assigned(option: str, given: Iterable[str]) -> dict[str, Any]:
    """By name, the last one said of it; raises `BadValue` for what names nothing."""
    return dict(_assignment(option, text) for text in given)


def _assignment(option: str, text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadValue(option, text, why="write it as key=value")
    try:
        return key.strip(), msgspec.json.decode(value)
    except msgspec.DecodeError:
        return key.strip(), value.strip()
