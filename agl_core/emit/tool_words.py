"""What a tool was given and what came of it, as its span says it, and the same read back."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from agl_core.emit._work import ITEMS
from agl_core.emit.semconv import ToolAttributes
from agl_core.errors import NotReplayable
from agl_core.spans import plain

__all__ = ["ARGUMENTS", "NAME", "RESULT", "Outcome", "given", "is_json", "items", "outcome", "read", "result"]

NAME = "gen_ai.tool.name"
ARGUMENTS = "gen_ai.tool.call.arguments"
RESULT = "gen_ai.tool.call.result"
_DEEPEST = 32
"""What lies deeper is no value any more."""
_ADDRESS = " at 0x"
"""Python's own words for an object that has none: where it lies is a matter of chance."""
_CURE = "Declare it `@agl.tool(replay='live')` or `'pure'`, or have it return JSON and record it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a recorded call of a tool ended."""

    value: Any = None
    """What it returned; of a generator, the list of what it yielded."""
    raised: tuple[str, str] | None = None
    """The type of what it raised, with its module, and what that said."""
    left: bool = False
    """Whether the consumer of a generator left before it ended."""


def given(named: Mapping[str, Any]) -> dict[str, Any]:
    """Its arguments as JSON, those that are no values as their types; which these are is said beside."""
    told: dict[str, Any] = {}
    untold = []
    for name, value in named.items():
        try:
            told[name] = _told(value, ())
        except _NoValueError:
            told[name] = f"<{type(value).__module__}.{type(value).__qualname__}>"
            untold.append(name)
    found: dict[str, Any] = {ARGUMENTS: json.dumps(told)}
    return {**found, ToolAttributes.UNTOLD.value: untold} if untold else found


def result(value: Any) -> dict[str, Any]:
    """What it returned: text as it is, all else as JSON; what is no JSON as what can be told of it."""
    if type(value) is str and _is_unicode(value):
        return {RESULT: value, ToolAttributes.RESULT.value: "text"}
    if is_json(value):
        return {RESULT: json.dumps(value), ToolAttributes.RESULT.value: "json"}
    return {RESULT: json.dumps(plain(value)), ToolAttributes.RESULT.value: "untold"}


def items(found: Sequence[Any], *, count: int, left: bool) -> dict[str, Any]:
    """What a generator yielded: `count` items, of which the first ones were kept."""
    is_told = count <= ITEMS and all(map(is_json, found))
    told = {
        RESULT: json.dumps(list(found) if is_told else plain(found)),
        ToolAttributes.RESULT.value: "items" if is_told else "untold",
    }
    return {**told, ToolAttributes.LEFT.value: True} if left else told


def outcome(said: Mapping[str, Any]) -> Outcome:
    """What the span of a tool says came of it; `NotReplayable` where that cannot come again."""
    what = f"tool {said.get(NAME)!r}"
    kind, told = said.get(ToolAttributes.RESULT.value), said.get(RESULT)
    raised = said.get("exception.type")
    if kind == "untold":
        raise NotReplayable(what, why="its result is no JSON, and could not be kept as it was", cure=_CURE)
    if raised in {"KeyboardInterrupt", "SystemExit"}:
        raise NotReplayable(what, why="the program was ended in it", cure="Replay an attempt that came to its end")
    value = told
    if kind in {"json", "items"}:
        try:
            value = json.loads(told or "")
        except (TypeError, ValueError):
            why = "its result is no JSON any more: it was changed before it was kept"
            raise NotReplayable(what, why=why, cure=_CURE) from None
    elif kind is None and raised is None:
        why = "how it ended is not in the log"
        raise NotReplayable(what, why=why, cure="Replay an attempt that came to its end")
    left = bool(said.get(ToolAttributes.LEFT.value))
    if raised is None:
        return Outcome(value=value, left=left)
    return Outcome(value=value, raised=(str(raised), str(said.get("exception.message", ""))), left=left)


def read(told: Any) -> Any:
    """What JSON says; what is none is what it is."""
    try:
        return json.loads(told)
    except (TypeError, ValueError):
        return told


def is_json(value: Any, depth: int = 0) -> bool:
    """Whether it is JSON to the letter: what is written of it is read back as the same."""
    kind = type(value)
    if depth > _DEEPEST:
        return False
    if kind is list:
        return all(is_json(inner, depth + 1) for inner in value)
    if kind is dict:
        return all(type(name) is str and is_json(inner, depth + 1) for name, inner in value.items())
    return value is None or kind in {bool, int, str} or (kind is float and math.isfinite(value))


class _NoValueError(Exception):
    """It is told by where it lies, or not at all."""


def _told(value: Any, inside: tuple[int, ...]) -> Any:
    """Values of Python and of data classes as JSON; equal ones are told alike."""
    if len(inside) > _DEEPEST or id(value) in inside:
        raise _NoValueError
    within = (*inside, id(value))
    match value:
        case None | bool() | int() | str():
            return plain(value)
        case Enum():
            return _told(value.value, within)
        case Mapping():
            return {str(name): _told(inner, within) for name, inner in value.items()}
        case list() | tuple():
            return [_told(inner, within) for inner in value]
        case set() | frozenset():
            return sorted((_told(inner, within) for inner in value), key=json.dumps)
    return _of_object(value, within)


def _of_object(value: Any, within: tuple[int, ...]) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _told(getattr(value, field.name, None), within) for field in dataclasses.fields(value)}
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        try:
            return _told(dump(mode="json"), within)
        except Exception:  # noqa: BLE001 - a guest's own code: what cannot be told is no value
            raise _NoValueError from None
    text = plain(value)
    if isinstance(text, str) and _ADDRESS in text:
        raise _NoValueError
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
