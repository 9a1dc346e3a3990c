"""What an event is: a frozen fact with a literal name, a schema number and a way up from older schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform

from agl_core.errors import BadPayload, UpcastGap

__all__ = [
    "F32",
    "U32",
    "Chat",
    "Event",
    "Once",
    "Packing",
    "Pooled",
    "Unknown",
    "Upcast",
    "Vocabulary",
    "event",
    "upcast",
]

E = TypeVar("E", bound="Event")
T = TypeVar("T")


class Packing(Enum):
    """How a field that is big, or that recurs, leaves the event for the blobs."""

    U32 = "u32"
    """Unsigned 32-bit integers, chained in chunks so that equal prefixes are stored once."""
    ONCE = "once"
    """The same for what hardly recurs: in the event while it is short, else one blob."""
    F32 = "f32"
    """Single-precision floats: in the event while they are few, else one blob."""
    CHAT = "chat"
    """A list of values that grows at its end, chained so that equal histories are stored once."""
    POOL = "pool"
    """Any JSON value: in the event while it is small, else one blob."""


U32 = Annotated[tuple[int, ...], Packing.U32]
Once = Annotated[tuple[int, ...], Packing.ONCE]
F32 = Annotated[tuple[float, ...], Packing.F32]


Chat = Annotated[tuple[T, ...], Packing.CHAT]
"""`Chat[T]`: a tuple of `T`, stored as a chain."""
Pooled = Annotated[T, Packing.POOL]
"""`Pooled[T]`: a `T`, stored once by content."""


class Event:
    """Something that happened. Subclasses are made with `@event`."""

    __slots__ = ()
    type: ClassVar[str]
    schema: ClassVar[int]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(type_: str, *, schema: int) -> Callable[[type[E]], type[E]]:
    """Make a frozen, slotted, keyword-only event that the log knows as `type_`, at `schema`."""

    def decorate(cls: type[E]) -> type[E]:
        made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        made.type, made.schema = type_, schema
        return made

    return decorate


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Event):
    """A fact whose type this process does not know: kept as it came, and re-encoded unchanged."""

    name: str
    version: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Upcast:
    """One rung: what `type` at schema `since` becomes at `since + 1`, dict to dict."""

    type: str
    since: int
    climb: Callable[[dict[str, Any]], dict[str, Any]]


def upcast(type_: str, *, since: int) -> Callable[[Callable[[dict[str, Any]], dict[str, Any]]], Upcast]:
    """Declare a pure rung from schema `since` to the next; its docstring says what the older schema lacked."""
    return lambda climb: Upcast(type_, since, climb)


class Vocabulary:
    """The events a process knows, and the ladders to them from every schema ever shipped."""

    def __init__(self, events: Iterable[type[Event]], upcasts: Iterable[Upcast] = ()) -> None:
        self._events: dict[str, type[Event]] = {}
        self._rungs: dict[tuple[str, int], Upcast] = {}
        for cls in events:
            if self._events.setdefault(cls.type, cls) is not cls:
                raise BadPayload(cls.type, why=f"two classes claim the name: {cls} and {self._events[cls.type]}")
        for rung in upcasts:
            if (rung.type, rung.since) in self._rungs:
                raise UpcastGap(rung.type, schema=rung.since, why="two rungs start there")
            self._rungs[rung.type, rung.since] = rung
        self._check_ladders()

    def _check_ladders(self) -> None:
        for type_, since in self._rungs:
            if type_ not in self._events:
                raise UpcastGap(type_, schema=since, why="no event has that name")
            last = self._events[type_].schema
            if not 1 <= since < last:
                raise UpcastGap(type_, schema=since, why=f"schemas go from 1 to {last}, a rung there leads in a circle")
        for cls in self._events.values():
            for schema in range(1, cls.schema):
                if (cls.type, schema) not in self._rungs:
                    raise UpcastGap(cls.type, schema=schema, why=f"the rung from {schema} to {schema + 1} is missing")

    def __iter__(self) -> Any:
        return iter(sorted(self._events.values(), key=lambda cls: cls.type))

    def get(self, type_: str) -> type[Event] | None:
        """The class of that name, if this process knows it."""
        return self._events.get(type_)

    def climb(self, type_: str, schema: int, data: dict[str, Any]) -> dict[str, Any]:
        """`data` of an old `schema`, rung by rung, at today's."""
        for rung in range(schema, self._events[type_].schema):
            if (type_, rung) not in self._rungs:
                raise UpcastGap(type_, schema=schema, why=f"there never was a schema {rung}")
            try:
                data = self._rungs[type_, rung].climb(data)
            except (LookupError, TypeError, ValueError) as error:
                raise BadPayload(type_, why=f"the rung from schema {rung} fails on it: {error!r}") from error
        return data
