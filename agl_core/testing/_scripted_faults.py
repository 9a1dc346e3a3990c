"""How an answer goes wrong on its way: values that a script returns, and what they do to the events that are sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from threading import Event, Lock
from typing import Any, TypeAlias

from agl_core.testing._scripted_values import Answer, Asked, Refusal

__all__ = [
    "Broken",
    "Failing",
    "Fault",
    "HungUp",
    "Malformed",
    "Reply",
    "Script",
    "Stalled",
    "Unfinished",
    "in_turn",
    "torn",
    "torn_body",
]

_LONG = "an answer that is long enough to come in several pieces"

Spoken: TypeAlias = str | Answer | Sequence[Answer]
"""What a fault happens to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The connection is closed after so many events of a stream, or bytes of a body, and nothing says that it ends."""

    after: int | None
    """Null: before the reply begins, so that not even a status comes."""
    answer: Spoken = _LONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """After so many events of a stream, or bytes of a body, nothing comes until the test sets `until`."""

    after: int
    until: Event = field(compare=False)
    answer: Spoken = _LONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """After so many events a stream tells an error, and ends; who asked for no stream is refused with `status`."""

    after: int
    code: str
    message: str = "failed by the script"
    status: int = 500
    answer: Spoken = _LONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """After so many events comes one whose JSON is cut off, then the others; a body ends after so many bytes."""

    after: int
    answer: Spoken = _LONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A stream that ends in good order without its last event (`[DONE]`, or the dialect's own); a body is whole."""

    answer: Spoken = _LONG


Fault: TypeAlias = Broken | Stalled | Failing | Malformed | Unfinished

Reply: TypeAlias = str | Answer | Sequence[Answer] | Refusal | Fault | Mapping[str, Any]
"""Text, an answer, an answer for each choice, a refusal, a fault, or a whole body to send as it is."""

Script: TypeAlias = Callable[[Asked], Reply]


class HungUp(Exception):
    """The connection is to be closed as it is."""


def in_turn(*replies: Reply | Script) -> Script:
    """A script for a call that is tried again: each reply once, in their order, and the last one from then on.

    Tries of one call are requests with the same path and body; each call begins with the first reply.
    """
    if not replies:
        raise ValueError("no replies to take in turn: give at least one")
    tries: dict[str, int] = {}
    lock = Lock()

    def script(asked: Asked) -> Reply:
        call = json.dumps([asked.path, asked.body], sort_keys=True)
        with lock:
            number = tries[call] = tries.get(call, 0) + 1
        reply = replies[min(number, len(replies)) - 1]
        return reply(asked) if callable(reply) else reply

    return script


def torn(
    events: Iterable[bytes],
    fault: Fault | None,
    *,
    failure: Callable[[Failing], Iterable[bytes]],
    wait: Callable[[Event], None],
) -> Iterator[bytes]:
    """The events of a stream as far as the fault lets them come."""
    rest = iter(events)
    match fault:
        case None:
            yield from rest
        case Unfinished():
            yield from (event for event, _next in pairwise(rest))
        case Broken():
            yield from islice(rest, fault.after)
            raise HungUp
        case Stalled():
            yield from islice(rest, fault.after)
            wait(fault.until)
            yield from rest
        case Failing():
            yield from islice(rest, fault.after)
            yield from failure(fault)
        case Malformed():
            yield from islice(rest, fault.after)
            for event in islice(rest, 1):
                yield event.removesuffix(b"\n\n")[:-1] + b"\n\n"
                yield event
            yield from rest


def torn_body(content: bytes, fault: Fault | None, *, wait: Callable[[Event], None]) -> Iterator[bytes]:
    """The bytes of a body as far as the fault lets them come."""
    match fault:
        case Broken():
            yield content[: fault.after]
            raise HungUp
        case Stalled():
            yield content[: fault.after]
            wait(fault.until)
            yield content[fault.after :]
        case _:
            yield content
