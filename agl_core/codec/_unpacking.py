"""JSON of the log to builtins: references resolved, chains followed back to their first link."""

from __future__ import annotations

import base64
import sys
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache, partial
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from agl_core.errors import BadPayload
from agl_core.events import Packing

__all__ = ["ROOT", "Get", "Links", "before", "filled", "mark_of", "numbers", "reads", "references", "unpacked"]

ROOT = bytes(32)
"""What the first link of a chain of token ids has for a parent."""
_REMEMBERED = 8192

Get = Callable[[str], bytes]
Link = tuple[str | None, Any]
Links = OrderedDict[str, Link]
"""Links that were read lately: the next call shares all but one."""


def unpacked(value: Any, get: Get, links: Links) -> Any:
    """`value` with everything it refers to in its place."""
    if isinstance(value, dict):
        match mark_of(value):
            case "$u32":
                return _read_u32(value["$u32"], value["n"], get, links)
            case "$f32":
                return _read_f32(value["$f32"], value["n"], get)
            case "$chat":
                return _read_chat(value["$chat"], value["n"], get, links)
            case "$pool":
                return msgspec.json.decode(get(value["$pool"]))
            case "$as_is":
                value = value["$as_is"]
        return {name: unpacked(inner, get, links) if type(inner) in _NESTED else inner for name, inner in value.items()}
    if isinstance(value, list):
        return [unpacked(inner, get, links) if type(inner) in _NESTED else inner for inner in value]
    return value


_NESTED = (dict, list)


Read = Callable[[Any, Get, Links], Any]


@cache
def reads(cls: Any) -> tuple[tuple[str, Read], ...]:
    """Fields of a dataclass that refer to something, or hold what does, and how they are read; found once."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple((one.name, read) for one in fields(cls) if (read := _reading(hints[one.name])) is not None)


def filled(fields_: tuple[tuple[str, Read], ...], value: dict[str, Any], get: Get, links: Links) -> dict[str, Any]:
    """`value`, in today's schema, with what its fields refer to in their places: no search through all of it."""
    for name, read in fields_:
        if type(value.get(name)) in _NESTED:
            value[name] = read(value[name], get, links)
    return value


def _reading(hint: Any) -> Read | None:
    if get_origin(hint) is Annotated:
        return unpacked if any(isinstance(mark, Packing) for mark in get_args(hint)) else None
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(filled, inner) if (inner := reads(hint)) else None
    of = get_args(hint)[0] if get_origin(hint) is tuple else None
    if isinstance(of, type) and is_dataclass(of):
        return partial(_filled_all, inner) if (inner := reads(of)) else None
    return None


def _filled_all(fields_: tuple[tuple[str, Read], ...], values: list[Any], get: Get, links: Links) -> list[Any]:
    return [filled(fields_, value, get, links) for value in values]


def mark_of(value: dict[str, Any]) -> str | None:
    """What kind of reference it is, `{"$pool": id}` or `{"$u32": id, "n": 3}`; `$as_is` marks a value that looks so."""
    if len(value) == 1:
        return "$pool" if "$pool" in value else "$as_is" if "$as_is" in value else None
    if len(value) == 2 and "n" in value:
        return "$u32" if "$u32" in value else "$f32" if "$f32" in value else "$chat" if "$chat" in value else None
    return None


def references(data: str | bytes) -> Iterator[tuple[str, str]]:
    """Mark and blob id of each reference in an event's `data`, whether its type is known or not."""
    if (b'"b2:' if isinstance(data, bytes) else '"b2:') in data:  # type: ignore[operator]  # of the same kind as data
        yield from _references(msgspec.json.decode(data))


def _references(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        mark = mark_of(value)
        if mark is not None and mark != "$as_is":
            if _is_blob(value[mark]):
                yield mark, value[mark]
            return
        for inner in (value["$as_is"] if mark else value).values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def before(mark: str, content: bytes) -> str | None:
    """The link before this one, when `mark` says that it is a link of a chain."""
    match mark:
        case "$chat":
            return _read_turn(content)[0]
        case "$u32":
            return _read_chunk(content)[0]
        case _:
            return None


def _is_blob(tip: str) -> bool:
    return tip.startswith("b2:")  # a colon is not in the alphabet of what stands in the event itself


def _read_u32(tip: str, n: int, get: Get, links: Links) -> list[int]:
    chunks = _chain(tip, get, _read_chunk, links) if _is_blob(tip) else [base64.b64decode(tip)]
    return _promised(numbers("I", b"".join(reversed(chunks))), n, "ids")


def _read_f32(tip: str, n: int, get: Get) -> list[float]:
    return _promised(numbers("f", get(tip) if _is_blob(tip) else base64.b64decode(tip)), n, "numbers")


def _read_chat(tip: str, n: int, get: Get, links: Links) -> list[Any]:
    return _promised(_chain(tip, get, _read_turn, links)[::-1], n, "turns")


def _promised(values: list[Any], n: int, what: str) -> list[Any]:
    if len(values) != n:
        raise BadPayload("value", why=f"{n} {what} were promised and {len(values)} are there")
    return values


def _chain(tip: str, get: Get, read: Callable[[bytes], Link], links: Links) -> list[Any]:
    """The values of a chain, newest first."""
    values = []
    at: str | None = tip
    while at is not None:
        link = links.get(at)
        if link is None:
            link = links[at] = read(get(at))
            if len(links) > _REMEMBERED:
                links.popitem(last=False)
        values.append(link[1])
        at = link[0]
    return values


def _read_chunk(content: bytes) -> Link:
    parent = content[:32]
    return (None if parent == ROOT else "b2:" + parent.hex()), content[32:]


def _read_turn(content: bytes) -> Link:
    link = msgspec.json.decode(content)
    return link["parent"], link["value"]


def numbers(kind: str, content: bytes) -> list[Any]:
    """Little-endian `I` (32 bits, unsigned) or `f` (single precision), as a list."""
    values: array[Any] = array(kind)
    values.frombytes(content)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
