"""Events to bytes and back: canonical JSON, big values out of line, old schemas up the ladder."""

from __future__ import annotations

import math
import sys
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from agl_core.errors import BadPayload, BadValue
from agl_core.events import CORE_EVENTS, CORE_UPCASTS, Event, Packing, Unknown, Vocabulary
from agl_core.ids import canonical, content_id

__all__ = ["Codec", "Encoded", "before", "references"]

CHUNK = 256
"""Token ids a blob: short enough that prompts with a common start share most of it."""
_ROOT = bytes(32)
_REMEMBERED = 8192

Get = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event as the log keeps it."""

    type: str
    schema: int
    data: bytes
    event: Event
    """As it will be read back: what folds it now and what folds it again see the same."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    """What `data` refers to, by content id."""


class Codec:
    """Writes events of a vocabulary down, and reads them back whatever their schema was."""

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary or Vocabulary(CORE_EVENTS, CORE_UPCASTS)
        self._json = msgspec.json.Encoder(order="sorted")
        self._links: OrderedDict[str, tuple[str | None, Any]] = OrderedDict()

    def encode(self, event: Event) -> Encoded:
        """`event` as sorted JSON; packed fields become references, `{"$u32": id, "n": 320}` and the like.

        What could not be read back is refused with `BadPayload`: a log keeps its mistakes for ever.
        """
        if isinstance(event, Unknown):
            return Encoded(event.name, event.version, self._json.encode(dict(event.data)), event)
        blobs: dict[str, bytes] = {}
        try:
            plan = _plan(type(event))  # type: ignore[arg-type]  # a class is hashable, whatever its instances are
            whole = _rounded(msgspec.to_builtins(event, str_keys=True), plan)
            readable = msgspec.convert(whole, type(event))
            # Written from what will be read: a time-out of 30 is 30.0 there, and equal events have equal bytes.
            whole = msgspec.to_builtins(readable, str_keys=True)
            encoded = self._json.encode(_pack(whole, plan, blobs))
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise BadPayload(event.type, why=str(error)) from None
        return Encoded(event.type, event.schema, encoded, readable, blobs)

    def forget(self) -> None:
        """Read every blob again from now on."""
        self._links.clear()

    def decode(self, type_: str, schema: int, data: bytes | str, get: Get) -> Event:
        """The event in today's schema; `get` finds blobs. An unknown type, or a later schema, stays `Unknown`."""
        raw = msgspec.json.decode(data)
        cls = self.vocabulary.get(type_)
        if cls is None or schema > cls.schema or raw.keys() == {"erased"}:
            return Unknown(name=type_, version=schema, data=raw)
        try:
            whole = self._unpack(raw, get)
            if schema < cls.schema:
                whole = self.vocabulary.climb(type_, schema, whole)
            return msgspec.convert(whole, cls)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BadPayload(type_, why=str(error)) from None

    def _unpack(self, value: Any, get: Get) -> Any:
        if isinstance(value, dict):
            match _mark(value):
                case "$u32":
                    return self._read_u32(value["$u32"], value["n"], get)
                case "$f32":
                    return _read_f32(value["$f32"], value["n"], get)
                case "$chat":
                    return self._read_chat(value["$chat"], value["n"], get)
                case "$pool":
                    return msgspec.json.decode(get(value["$pool"]))
                case "$as_is":
                    value = value["$as_is"]
            return {name: self._unpack(inner, get) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._unpack(inner, get) for inner in value]
        return value

    def _read_u32(self, tip: str, n: int, get: Get) -> list[int]:
        chunks = [chunk for _, chunk in self._chain(tip, get, _read_chunk)]
        ids = _floats_or_ints("I", b"".join(reversed(chunks)))
        if len(ids) != n:
            raise BadPayload("u32", why=f"{n} ids were promised and {len(ids)} are there")
        return ids

    def _read_chat(self, tip: str, n: int, get: Get) -> list[Any]:
        turns = [value for _, value in self._chain(tip, get, _read_link)][::-1]
        if len(turns) != n:
            raise BadPayload("chat", why=f"{n} turns were promised and {len(turns)} are there")
        return turns

    def _chain(self, tip: str, get: Get, read: Callable[[bytes], tuple[str | None, Any]]) -> Iterator[tuple[str, Any]]:
        """From the newest link back to the first; links are remembered, as the next call shares all but one."""
        at: str | None = tip
        while at is not None:
            link = self._links.get(at)
            if link is None:
                link = self._links[at] = read(get(at))
                if len(self._links) > _REMEMBERED:
                    self._links.popitem(last=False)
            yield at, link[1]
            at = link[0]


def references(data: str | bytes) -> Iterator[tuple[str, str]]:
    """Mark and blob id of each reference in an event's `data`, whether its type is known or not."""
    if (b'"b2:' if isinstance(data, bytes) else '"b2:') in data:  # type: ignore[operator]  # both are what data is
        yield from _references(msgspec.json.decode(data))


def _references(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        mark = _mark(value)
        if mark is not None and mark != "$as_is":
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
            return _read_link(content)[0]
        case "$u32":
            return _read_chunk(content)[0]
        case _:
            return None


# --- packing: which fields leave the event, found once from its type


@cache
def _plan(cls: Any) -> Mapping[str, Any]:
    return {name: found for name, hint in get_type_hints(cls, include_extras=True).items() if (found := _packing(hint))}


def _packing(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return next((mark for mark in get_args(hint)[1:] if isinstance(mark, Packing)), None)
    if isinstance(hint, type) and is_dataclass(hint):
        return _plan(hint) or None
    if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        plan = _plan(get_args(hint)[0])
        return (plan,) if plan else None
    return None


def _rounded(data: dict[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that are kept in single precision, as single precision has them."""
    for name, how in plan.items():
        match how:
            case Packing.F32:
                data[name] = _floats_or_ints("f", _little("f", data[name]))
            case Packing():
                pass
            case (inner,):
                for item in data[name]:
                    _rounded(item, inner)
            case _:
                _rounded(data[name], how)
    return data


_NOT_PLAIN = (dict, list, tuple, float)


def _pack(data: dict[str, Any], plan: Mapping[str, Any], blobs: dict[str, bytes]) -> dict[str, Any]:
    for name, value in data.items():
        if name not in plan and type(value) in _NOT_PLAIN:
            data[name] = _plain(value)
    for name, how in plan.items():
        value = data[name]
        match how:
            case Packing.U32:
                data[name] = _write_u32(value, blobs)
            case Packing.F32:
                data[name] = _write_f32(value, blobs)
            case Packing.CHAT:
                data[name] = _write_chat(value, blobs)
            case Packing.POOL:
                data[name] = _write_pool(value, blobs)
            case (inner,):
                for item in value:
                    _pack(item, inner, blobs)
            case _:
                _pack(value, how, blobs)
    return data


def _plain(value: Any) -> Any:
    """JSON that is not packed: every number a number, and nothing that would be taken for a reference of ours."""
    match value:
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{value} is no number that JSON has")
            return value
        case dict():
            inner = {name: _plain(one) if type(one) in _NOT_PLAIN else one for name, one in value.items()}
            return {"$as_is": inner} if _mark(value) else inner
        case _:
            return [_plain(one) if type(one) in _NOT_PLAIN else one for one in value]


def _mark(value: dict[str, Any]) -> str | None:
    """What kind of reference it is, `{"$pool": id}` or `{"$u32": id, "n": 3}`; `$as_is` marks a value that looks so."""
    if len(value) == 1:
        return next((mark for mark in ("$pool", "$as_is") if mark in value), None)
    if len(value) == 2 and "n" in value:
        return next((mark for mark in ("$u32", "$f32", "$chat") if mark in value), None)
    return None


def _write_u32(ids: list[int], blobs: dict[str, bytes]) -> Any:
    if not ids:
        return []
    packed = _little("I", ids)
    parent = _ROOT
    tip = ""
    for start in range(0, len(packed), CHUNK * 4):
        content = parent + packed[start : start + CHUNK * 4]
        tip = content_id(content)
        blobs[tip] = content
        parent = bytes.fromhex(tip[3:])
    return {"$u32": tip, "n": len(ids)}


def _write_f32(values: list[float], blobs: dict[str, bytes]) -> Any:
    if not values:
        return []
    content = _little("f", values)
    tip = content_id(content)
    blobs[tip] = content
    return {"$f32": tip, "n": len(values)}


def _write_chat(values: list[Any], blobs: dict[str, bytes]) -> Any:
    tip: str | None = None
    for value in values:
        content = canonical({"parent": tip, "value": value})
        tip = content_id(content)
        blobs[tip] = content
    return {"$chat": tip, "n": len(values)} if tip else []


def _write_pool(value: Any, blobs: dict[str, bytes]) -> Any:
    if value is None or (isinstance(value, list | tuple) and not value):
        return value
    content = canonical(value)
    tip = content_id(content)
    blobs[tip] = content
    return {"$pool": tip}


def _read_f32(tip: str, n: int, get: Get) -> list[float]:
    values = _floats_or_ints("f", get(tip))
    if len(values) != n:
        raise BadPayload("f32", why=f"{n} numbers were promised and {len(values)} are there")
    return values


def _read_chunk(content: bytes) -> tuple[str | None, bytes]:
    parent = content[:32]
    return (None if parent == _ROOT else "b2:" + parent.hex()), content[32:]


def _read_link(content: bytes) -> tuple[str | None, Any]:
    link = msgspec.json.decode(content)
    return link["parent"], link["value"]


def _little(kind: str, values: list[Any]) -> bytes:
    try:
        packed = array(kind, values)
    except (OverflowError, TypeError) as error:
        raise BadValue("token ids" if kind == "I" else "logprobs", values[:8], why=str(error)) from None
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _floats_or_ints(kind: str, content: bytes) -> list[Any]:
    values: array[Any] = array(kind)
    values.frombytes(content)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
