"""Events to JSON: packed fields leave for the blobs; all else is checked to be JSON, and none of our references."""

from __future__ import annotations

import base64
import math
import sys
import types
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from operator import attrgetter
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from agl_core.codec._unpacking import ROOT, mark_of, numbers
from agl_core.errors import BadValue
from agl_core.events import Packing
from agl_core.ids import content_id

__all__ = ["JSON", "Plan", "check", "pack", "plan", "single"]

CHUNK = 256
"""Token ids a blob: short enough that prompts with a common start share most of it."""
INLINE = 1024
"""Bytes up to which what hardly recurs stays in its event: a blob costs two hundred beside its own."""
SMALL = 256
"""Bytes up to which any value stays in its event."""
JSON = msgspec.json.Encoder(order="sorted")

Blobs = dict[str, bytes]
Write = Callable[[Any, Blobs], Any]
Check = Callable[[Any], None]
"""Raises `ValueError`."""
Round = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a dataclass is written, found once from its type."""

    fields: tuple[str, ...]
    values: Callable[[Any], Sequence[Any]]
    """Of a dataclass, in the order of its fields."""
    writes: tuple[tuple[str, Write], ...]
    """Fields that are not written as they are, and how they are."""
    checks: tuple[tuple[str, Check], ...]
    """Fields that are, once they have been looked at."""
    rounds: tuple[tuple[str, Round], ...]
    """Fields that are, or hold, numbers of single precision, and what rounds them."""


def pack(how: Plan, value: Any, blobs: Blobs) -> Any:
    """A dataclass as JSON takes it; `blobs` gets what it refers to."""
    check(how, value)
    if not how.writes:
        return value
    data = dict(zip(how.fields, how.values(value), strict=True))
    for name, write in how.writes:
        data[name] = write(data[name], blobs)
    return data


def check(how: Plan, value: Any) -> None:
    """Refuse, with `ValueError`, what JSON could not say."""
    for name, look in how.checks:
        look(getattr(value, name))


def single(how: Plan, plain: dict[str, Any]) -> dict[str, Any]:
    """A dataclass in builtins, its numbers of single precision as single precision has them."""
    for name, round_ in how.rounds:
        plain[name] = round_(plain[name])
    return plain


@cache
def plan(cls: Any) -> Plan:
    """Of an event, or of a value in one."""
    hints = get_type_hints(cls, include_extras=True)
    names = tuple(field.name for field in fields(cls))

    def those(find: Callable[[Any], Any]) -> tuple[tuple[str, Any], ...]:
        return tuple((name, how) for name in names if (how := find(hints[name])) is not None)

    # Of one name `attrgetter` makes no tuple.
    values = attrgetter(*names) if len(names) > 1 else lambda value: [getattr(value, name) for name in names]
    return Plan(names, values, those(_writing), those(_checking), those(_rounding))


def _writing(hint: Any) -> Write | None:
    """How a field of that type is written; None: as it is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        mark = next((mark for mark in arguments if isinstance(mark, Packing)), None)
        return _writing(arguments[0]) if mark is None else _WRITE[mark]
    if inner := _inner(hint):
        return partial(pack, inner) if inner.writes else None
    if inner := _inner_of_tuple(hint):
        return partial(_pack_all, inner) if inner.writes else None
    return None if _is_number(hint) else _plain


def _checking(hint: Any) -> Check | None:
    """What looks at a field that is written as it is; None: there is nothing to look at."""
    if inner := _inner(hint):
        return partial(check, inner) if inner.checks and not inner.writes else None
    if inner := _inner_of_tuple(hint):
        return partial(_check_all, inner) if inner.checks and not inner.writes else None
    return _finite if _is_number(hint) and not _is_harmless(hint) else None


def _rounding(hint: Any) -> Round | None:
    """What rounds a field of that type; None: nothing in it is of single precision."""
    if get_origin(hint) is Annotated:
        return _single_precision if Packing.F32 in get_args(hint) else None
    if inner := _inner(hint):
        return partial(single, inner) if inner.rounds else None
    if inner := _inner_of_tuple(hint):
        return partial(_round_all, inner) if inner.rounds else None
    return None


def _pack_all(how: Plan, values: Sequence[Any], blobs: Blobs) -> list[Any]:
    return [pack(how, value, blobs) for value in values]


def _check_all(how: Plan, values: Sequence[Any]) -> None:
    for value in values:
        check(how, value)


def _round_all(how: Plan, values: Sequence[Any]) -> list[Any]:
    return [single(how, value) for value in values]


def _single_precision(values: Sequence[float]) -> list[float]:
    return numbers("f", _little("f", values))


def _inner(hint: Any) -> Plan | None:
    return plan(hint) if isinstance(hint, type) and is_dataclass(hint) else None


def _inner_of_tuple(hint: Any) -> Plan | None:
    return _inner(get_args(hint)[0]) if get_origin(hint) is tuple else None


def _is_harmless(hint: Any) -> bool:
    """No number of it can be one that JSON lacks, and nothing in it can look like a reference."""
    origin = get_origin(hint)
    if origin in _GROUPS:
        return all(map(_is_harmless, get_args(hint)))
    return hint in _HARMLESS or origin is Literal


def _is_number(hint: Any) -> bool:
    """A number, perhaps none, or harmless."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return all(option is float or _is_harmless(option) for option in options)


_HARMLESS = (str, int, bool, type(None), Ellipsis)
_GROUPS = (Union, types.UnionType, tuple, Mapping)


# --- what stays in the event

_ATOMS = frozenset({str, int, bool, type(None)})
"""Types whose values are JSON as they are."""


def _finite(value: Any) -> None:
    if type(value) is float and not math.isfinite(value):
        raise ValueError(f"{value} is no number that JSON has")


def _plain(value: Any, _blobs: Blobs | None = None) -> Any:
    """JSON that is not packed: every number a number, and nothing that would be taken for a reference of ours."""
    kind = type(value)
    if kind is dict:
        if not value:
            return value
        inner = {name: one if type(one) in _ATOMS else _plain(one) for name, one in value.items()}
        return {"$as_is": inner} if mark_of(value) else inner
    if kind is list or kind is tuple:
        return [one if type(one) in _ATOMS else _plain(one) for one in value]
    if kind is float:
        _finite(value)
    return pack(plan(kind), value, {}) if is_dataclass(kind) else value


# --- what leaves it


def _write_u32(ids: Sequence[int], blobs: Blobs) -> Any:
    """A chain of chunks, so that prompts that begin alike share them."""
    return _chained(_little("I", ids), CHUNK * 4, blobs) if ids else []


def _write_once(ids: Sequence[int], blobs: Blobs) -> Any:
    """In the event when they are few; else all in one."""
    packed = _little("I", ids)
    if len(packed) <= INLINE:
        return {"$u32": base64.b64encode(packed).decode(), "n": len(ids)} if ids else []
    return _chained(packed, len(packed), blobs)


def _chained(packed: bytes, size: int, blobs: Blobs) -> Any:
    parent, tip = ROOT, ""
    for start in range(0, len(packed), size):
        tip = _kept(parent + packed[start : start + size], blobs)
        parent = bytes.fromhex(tip[3:])
    return {"$u32": tip, "n": len(packed) // 4}


def _write_f32(values: Sequence[float], blobs: Blobs) -> Any:
    if not values:
        return []
    packed = _little("f", values)
    tip = base64.b64encode(packed).decode() if len(packed) <= INLINE else _kept(packed, blobs)
    return {"$f32": tip, "n": len(values)}


def _write_chat(turns: Sequence[Any], blobs: Blobs) -> Any:
    tip = ""
    for turn in turns:
        parent = f'"{tip}"' if tip else "null"
        tip = _kept(b'{"parent":%b,"value":%b}' % (parent.encode(), _json(turn)), blobs)
    return {"$chat": tip, "n": len(turns)} if tip else []


def _write_pool(value: Any, blobs: Blobs) -> Any:
    content = _json(value)
    return _plain(value) if len(content) <= SMALL else {"$pool": _kept(content, blobs)}


def _kept(content: bytes, blobs: Blobs) -> str:
    id_ = content_id(content)
    blobs[id_] = content
    return id_


def _json(value: Any) -> bytes:
    """As it is, references and all: what lies in a blob is not searched for any."""
    _search(value)
    return JSON.encode(value)


def _search(value: Any) -> None:
    """Every number in it is one that JSON has."""
    kind = type(value)
    if kind is str:
        return
    if kind is dict:
        for inner in value.values():
            _search(inner)
    elif kind is list or kind is tuple:
        for inner in value:
            _search(inner)
    elif kind is float:
        _finite(value)
    elif is_dataclass(kind):
        how = plan(kind)
        for name, _ in (*how.checks, *how.writes):
            _search(getattr(value, name))


_WRITE: Mapping[Packing, Write] = {
    Packing.U32: _write_u32,
    Packing.ONCE: _write_once,
    Packing.F32: _write_f32,
    Packing.CHAT: _write_chat,
    Packing.POOL: _write_pool,
}


def _little(kind: str, values: Sequence[Any]) -> bytes:
    try:
        packed = array(kind, values)
    except (OverflowError, TypeError) as error:
        raise BadValue("token ids" if kind == "I" else "logprobs", values[:8], why=str(error)) from None
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
