"""What an OTLP request says, in plain values; and what a span or a number in it may not be."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from agl_core.events import SpanRecorded, SpanUnassigned

__all__ = [
    "DEEPEST",
    "Malformed",
    "Sent",
    "SentLog",
    "SentSpan",
    "Unfit",
    "double",
    "each",
    "enumerated",
    "moment",
    "plain_bytes",
    "span_id",
    "trace_id",
    "whole",
]

KINDS = ("internal", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
DEEPEST = 32
"""Values in values in values: nothing that means something goes deeper."""
_INT64 = 1 << 63
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
T = TypeVar("T")
Raw = TypeVar("Raw")


class Malformed(ValueError):
    """The bytes are no such request."""


class Unfit(ValueError):
    """One thing in a request cannot be kept; the others can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSpan:
    """A span as it was sent: the fields of `SpanRecorded`, but for whose it is."""

    trace_id: str
    """32 hexadecimal digits, lower case."""
    span_id: str
    """16 of them."""
    parent_id: str | None
    trace_state: str | None
    name: str
    kind: str
    attributes: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    links: tuple[Mapping[str, Any], ...]
    status: str
    status_message: str | None
    started_at: int
    ended_at: int
    resource: Mapping[str, Any]
    scope: Mapping[str, Any]

    def recorded(
        self, *, rollout_id: str, attempt_id: str, agent: str | None = None, sequence_id: int | None = None
    ) -> SpanRecorded:
        """The fact that it is, of that attempt."""
        return SpanRecorded(
            rollout_id=rollout_id, attempt_id=attempt_id, agent=agent, sequence_id=sequence_id, **_told(self)
        )

    def unassigned(self, why: str) -> SpanUnassigned:
        """The fact that it is while nobody knows whose."""
        return SpanUnassigned(why=why, **_told(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class SentLog:
    """A log record as it was sent."""

    trace_id: str | None
    span_id: str | None
    event_name: str | None
    attributes: Mapping[str, Any]
    body: Any
    at: int
    resource: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent(Generic[T]):
    """What a request holds, and why the rest of it cannot be kept."""

    items: tuple[T, ...]
    rejected: tuple[str, ...] = field(default=())
    """A reason each."""


def each(makers: Iterable[Callable[[], T]]) -> Sent[T]:
    """Everything that can be kept, in its order."""
    items, rejected = [], []
    for make in makers:
        try:
            items.append(make())
        except Unfit as error:
            rejected.append(str(error))
    return Sent(tuple(items), tuple(rejected))


def trace_id(digits: str) -> str:
    """The id, which 16 bytes are that are not all zero."""
    return _id(digits, "traceId", _NO_TRACE)


def span_id(digits: str) -> str:
    """The id, which 8 bytes are that are not all zero."""
    return _id(digits, "spanId", _NO_SPAN)


def _id(digits: str, what: str, zero: str) -> str:
    found = digits.lower()
    if (
        len(found) != len(zero)
        or found == zero
        or not found.isascii()
        or not all(c in "0123456789abcdef" for c in found)
    ):
        raise Unfit(
            f"{what} {digits[:64]!r} is none: it is {len(zero)} hexadecimal digits (no base64), not all of them 0"
        )
    return found


def moment(nanoseconds: int, what: str) -> int:
    """Nanoseconds since the epoch, of which a log has 63 bits."""
    if not 0 <= nanoseconds < _INT64:
        raise Unfit(f"{what} {nanoseconds} is out of range: it is nanoseconds since 1970")
    return nanoseconds


def enumerated(number: int, words: tuple[str, ...]) -> str:
    """The word that a number stands for; of one that nobody knows yet, the first."""
    return words[number] if 0 <= number < len(words) else words[0]


def whole(number: int) -> int | str:
    """The number; of more bits than a log keeps, as text."""
    return number if -_INT64 <= number < _INT64 else str(number)


def double(number: float) -> float | str:
    """The number; one that JSON lacks in the word that OTLP has for it."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def plain_bytes(content: bytes) -> str:
    """As text: in base64, as OTLP has bytes in JSON."""
    return base64.b64encode(content).decode()


def _told(span: SentSpan) -> dict[str, Any]:
    return {one.name: getattr(span, one.name) for one in fields(span)}
