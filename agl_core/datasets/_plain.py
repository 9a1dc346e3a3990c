"""A task as JSON has it: what can be written so that nothing is lost is; the rest is refused, with its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from agl_core.errors import BadValue

__all__ = ["is_of", "is_record", "plain"]


def plain(value: Any, *, where: str) -> Any:
    """`value` of None, booleans, numbers, text, lists and dicts with text for keys; `where` is said in an error."""
    try:
        return _plain(value)
    except _Refused as refused:
        raise BadValue(where + refused.place, refused.value, why=refused.why) from None
    except RecursionError:
        raise BadValue(where, type(value).__name__, why="it is too deep, or holds itself") from None


def is_of(value: object, root: str, *names: str) -> bool:
    """Whether a class of it is one of `names` in the package `root`, which is not imported for that."""
    return any(one.__name__ in names and one.__module__.partition(".")[0] == root for one in type(value).__mro__)


def is_record(value: object) -> bool:
    """Whether it is one thing with fields: of a dataclass, attrs, msgspec, pydantic, or a named tuple."""
    return _fields_of(value) is not None


class _Refused(Exception):
    """A value that JSON has not; its place is put together on the way out."""

    def __init__(self, value: object, why: str) -> None:
        super().__init__(why)
        self.value, self.why = value, why
        self._keys: list[str | int] = []

    def inside(self, key: str | int) -> _Refused:
        self._keys.insert(0, key)
        return self

    @property
    def place(self) -> str:
        """Such as `, column 'when'`, and where in that."""
        column = f", column {self._keys[0]!r}" if self._keys and isinstance(self._keys[0], str) else ""
        deeper = "".join(f"[{key!r}]" for key in self._keys[bool(column) :])
        return f"{column}, at {deeper}" if deeper else column


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is str:
        return _text(value)
    if kind is float:
        if not math.isfinite(value):
            raise _Refused(value, "JSON has no such number: leave the row out, or write None where nothing is known")
        return value
    if kind is dict:
        return _mapping(value.items())
    if kind is list or kind is tuple:
        return _list(value)
    return _converted(value)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        why = f"character {error.start} is half of a pair, which UTF-8 has not: value.encode(errors='replace').decode()"
        raise _Refused(value, why) from None
    return value


def _mapping(items: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    found = {}
    for key, value in items:
        if not isinstance(key, str):
            raise _Refused(key, "a key in JSON is text: write str(key)")
        name = _text(str.__str__(key))
        try:
            found[name] = _plain(value)
        except _Refused as refused:
            raise refused.inside(name) from None
    return found


def _list(values: Iterable[Any]) -> list[Any]:
    found = []
    for at, value in enumerate(values):
        try:
            found.append(_plain(value))
        except _Refused as refused:
            raise refused.inside(at) from None
    return found


def _converted(value: Any) -> Any:
    """Of the classes of the standard library and of the field, those that lose nothing."""
    if is_of(value, "pandas", "NAType", "NaTType"):  # a NaT says it is a datetime
        return None
    if (items := _fields_of(value)) is not None:
        return _mapping(items)
    for kinds, made in _MADE.items():
        if isinstance(value, kinds):
            return _plain(made(value))
    if isinstance(value, Mapping):
        return _mapping(value.items())
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return _list(value)
    return _of_arrays(value)


_MADE: Mapping[type | tuple[type, ...], Callable[[Any], Any]] = {
    Enum: lambda member: member.value,
    str: str.__str__,
    int: int,
    float: float,
    (date, time): lambda moment: moment.isoformat(),
    Decimal: lambda number: str(number) if number.is_finite() else math.nan,
    (UUID, PurePath): str,
}
"""In this order: a member of an enumeration may be text or a number too."""


def _fields_of(value: Any) -> Iterable[tuple[str, Any]] | None:
    kind = type(value)
    if isinstance(value, type):
        return None
    if is_dataclass(value):
        return [(one.name, getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, msgspec.Struct):
        config = kind.__struct_config__
        tag = [(str(config.tag_field), config.tag)] if config.tag is not None else []
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return [*tag, *((name, getattr(value, field)) for name, field in names)]
    if hasattr(kind, "__attrs_attrs__"):
        return [(one.name, getattr(value, one.name)) for one in kind.__attrs_attrs__]
    if is_of(value, "pydantic", "BaseModel"):
        return list(value.model_dump().items())
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return list(zip(kind._fields, value, strict=True))
    return None


def _of_arrays(value: Any) -> Any:
    """Numbers and arrays of NumPy, Arrow and PyTorch."""
    if is_of(value, "numpy", "datetime64"):
        text = str(value)
        return None if text == "NaT" else text
    if is_of(value, "numpy", "generic") and not is_of(value, "numpy", "timedelta64"):
        item = value.item()
        if type(item) is not type(value):
            return _plain(item)
    if is_of(value, "numpy", "ndarray"):
        # One by one: `tolist` makes plain numbers of times.
        return _list(value) if value.ndim else _plain(value[()])
    if is_of(value, "pyarrow", "Scalar"):
        return _plain(value.as_py())
    if is_of(value, "torch", "Tensor"):
        return _plain(value.tolist())
    raise _Refused(value, _why_not(value))


def _why_not(value: object) -> str:
    match value:
        case bytes() | bytearray() | memoryview():
            return "JSON has no bytes: write them as text, such as base64.b64encode(value).decode()"
        case set() | frozenset():
            return "JSON has no sets, and a set has no order: write sorted(value)"
        case timedelta():
            return "JSON has no durations: write value.total_seconds()"
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return f"{kind} is nothing that JSON has: write it as text, as numbers, or as a dict"
