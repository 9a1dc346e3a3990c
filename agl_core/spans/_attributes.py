"""Attributes as they may come: flat names or structured values, JSON or what JSON says. Nothing here raises."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["at", "count", "decoded", "flag", "gathered", "listed", "number", "rows", "text", "texts", "written"]

_INT64 = 1 << 63
_DIGITS = 9
"""Of an index in a name: Python refuses to read a number of some thousands."""


def text(attributes: Mapping[str, Any], *names: str) -> str | None:
    """The first of these that is text, and not empty."""
    return next((value for name in names if isinstance(value := attributes.get(name), str) and value), None)


def count(attributes: Mapping[str, Any], *names: str) -> int | None:
    """The first of these that is a number of things."""
    # type(), not isinstance(): `true` is no number.
    found = (value for name in names if type(value := attributes.get(name)) is int and 0 <= value < _INT64)
    return next(found, None)


def number(value: Any) -> float | None:
    """A finite number; of text, too, which is how some write theirs."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def texts(value: Any) -> tuple[str, ...]:
    """All texts of a list, or one that stands alone."""
    found = decoded(value)
    if isinstance(found, str):
        return (found,) if found else ()
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list | tuple) else ()


def decoded(value: Any) -> Any:
    """What JSON of an object or a list says; any other value as it is, text that only looks like a number too."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return value


def written(value: Any) -> str:
    """Text as it is, any other value as JSON; nothing as nothing."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        # Sorted, because the log sorts maps: what is derived from it must be what was derived before.
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return ""


def at(value: Any, *path: str) -> Any:
    """What lies there in maps of maps, or null."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def flag(attributes: Mapping[str, Any], *prefixes: str) -> bool:
    """Whether a name begins so."""
    return any(name.startswith(prefixes) for name in attributes)


def listed(value: Any) -> list[Mapping[str, Any]]:
    """The maps of a list; one whose indices were names, too."""
    found = decoded(value)
    if isinstance(found, Mapping):
        found = [found[name] for name in sorted(filter(_is_index, found), key=lambda name: (int(name), name))]
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list | tuple) else []


def rows(attributes: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of maps: in one attribute, or spread over `name.0.role`, `name.0.content` and so on."""
    return listed(attributes[name]) if name in attributes else listed(_tree(attributes, f"{name}."))


def gathered(attributes: Mapping[str, Any], name: str) -> Any:
    """A value: in one attribute, or spread over names below it, which make a map; null when it is in neither."""
    return decoded(attributes[name]) if name in attributes else _tree(attributes, f"{name}.") or None


def _tree(attributes: Mapping[str, Any], prefix: str) -> Mapping[str, Any]:
    """Maps of maps out of names with dots; where a name has both a value and names below it, those."""
    root: dict[str, Any] = {}
    for path, value in _below(attributes, prefix):
        branch = root
        for step in path[:-1]:
            below = branch.get(step)
            if not isinstance(below, dict):
                below = branch[step] = {}
            branch = below
        branch.setdefault(path[-1], value)
    return root


def _below(attributes: Mapping[str, Any], prefix: str) -> Iterator[tuple[list[str], Any]]:
    for name, value in attributes.items():
        if name.startswith(prefix):
            yield name[len(prefix) :].split("."), value


def _is_index(name: Any) -> bool:
    return isinstance(name, str) and name.isascii() and name.isdecimal() and len(name) <= _DIGITS
