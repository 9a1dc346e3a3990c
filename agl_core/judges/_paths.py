"""Places in JSON values: `a.b.0`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ABSENT", "within"]

ABSENT: Final = object()
"""Nothing lies there; not even null."""


def within(value: Any, path: str) -> Any:
    """What lies at the path; `ABSENT` where nothing does. An empty path is the value itself."""
    for part in path.split(".") if path else ():
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return ABSENT
    return value
