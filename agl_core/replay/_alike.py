"""What makes two requests the same: what is asked, and not how; and where they differ, when they are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import msgspec

from agl_core.errors import BadValue
from agl_core.events import ModelCall
from agl_core.ids import digest

__all__ = ["Alike", "Plain", "Renaming", "Shape", "differences", "plain"]

Plain = dict[str, Any]
"""What is asked, as plain values."""

_HOW = frozenset({
    "stream", "stream_options", "user", "metadata", "store", "service_tier", "safety_identifier", "background",
    "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "inference_geo", "request_id",
})  # fmt: skip
"""Fields that say how an answer travels, is paid for, or is kept by the provider; no word of it depends on them."""
_ANSWERED = "$"
"""What fields of `extra` begin with that no request has."""
_DATE = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?"
_ZONE = r"(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?"
_ID = (
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-f]{32}"
    r"|[0-9A-HJKMNP-TV-Z]{26}|(?:run|ro|at|rs|ca|sp|wk|ba|ck|rp)-[0-9a-hjkmnp-tv-z]{26}"
)
_TIME = rf"{_DATE}(?:[T ](?:{_CLOCK}|\d{{2}}:\d{{2}}){_ZONE})?|{_CLOCK}"
_WHOLE = r"(?<![0-9A-Za-z])(?:{0})(?![0-9A-Za-z])"
_IDS = re.compile(_WHOLE.format(_ID))
_TIMES = re.compile(_WHOLE.format(_TIME))
_MARK = "\x00"
"""What stands in the place of what may differ."""
_REMEMBERED = 512
"""Texts whose shape is kept: a conversation says its beginning again with each call."""
_SHOWN = 60
"""Characters of a text that are shown to each side of the first place where it differs."""
_LISTED = 20
"""Differences that are listed; more would not be read."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A request without what may differ, and what stood there."""

    key: str
    ids: tuple[str, ...] = ()
    """In the order of the text: those that may have other names now, each always the same."""


@dataclass(slots=True)
class Renaming:
    """Which ids of now are which of then: one to one, for as long as the replay lasts."""

    now: dict[str, str] = field(default_factory=dict)
    then: dict[str, str] = field(default_factory=dict)

    def fits(self, recorded: Shape, asked: Shape) -> bool:
        """Whether the two are one request, of which each id has one name then and one now.

        An id that is the same on both sides may stay so, whatever it is called elsewhere: recorded answers have those
        of then, and an agent says them again.
        """
        if recorded.key != asked.key or len(recorded.ids) != len(asked.ids):
            return False
        now: dict[str, str] = {}
        then: dict[str, str] = {}
        for one, two in zip(recorded.ids, asked.ids, strict=True):
            if one == two:
                continue
            if (self.now.get(one) or now.setdefault(one, two)) != two:
                return False
            if (self.then.get(two) or then.setdefault(two, one)) != one:
                return False
        return True

    def learn(self, recorded: Iterable[str], asked: Iterable[str]) -> None:
        """From here on, the ids of then have those names."""
        for one, two in zip(recorded, asked, strict=True):
            self.now.setdefault(one, two)
            self.then.setdefault(two, one)


class Alike:
    """Tells requests apart, as `plain` has them.

    With `strict`, no id and no date may differ; `ignore` are patterns of what never counts.
    """

    def __init__(self, *, strict: bool = False, ignore: Sequence[str] = ()) -> None:
        self._ignored = tuple(_pattern(one) for one in ignore)
        self._times = (*self._ignored, *(() if strict else (_TIMES,)))
        self._ids = None if strict else _IDS
        self._split = lru_cache(_REMEMBERED)(self._parted)
        self._without_times = lru_cache(_REMEMBERED)(self._without(self._times))

    def exact(self, asked: Plain) -> str:
        """The same for requests that are the same to the letter, but for what is ignored."""
        return _key(_each_text(asked, self._without(self._ignored)) if self._ignored else asked)

    def timeless(self, asked: Plain) -> str:
        """The same for requests that differ in nothing but dates and times."""
        return _key(_each_text(asked, self._without_times))

    def shape(self, asked: Plain) -> Shape:
        """What of it may not differ, and the ids in it."""
        ids: list[str] = []

        def without(text: str) -> str:
            masked, found = self._split(text)
            ids.extend(found)
            return masked

        return Shape(_key(_each_text(asked, without)), tuple(ids))

    def ids(self, asked: Plain) -> Sequence[str]:
        """The ids in it, in the order of the text."""
        found: list[str] = []

        def read(text: str) -> str:
            found.extend(self._split(text)[1])
            return text

        _each_text(asked, read)
        return found

    def differences(self, recorded: Plain, asked: Plain) -> tuple[Mapping[str, Any], ...]:
        """Where they differ, but for what may; of two that differ in nothing else, in that."""
        found = differences(recorded, asked, masked=lambda text: self._split(text)[0])
        return found or differences(recorded, asked)

    @staticmethod
    def _without(patterns: Sequence[re.Pattern[str]]) -> Callable[[str], str]:
        def without(text: str) -> str:
            for pattern in patterns:
                text = pattern.sub(_masked, text)
            return text

        return without

    def _parted(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The text without what may differ, and the ids in it."""
        text = self._without(self._times)(text)
        return (text, ()) if self._ids is None else (self._ids.sub(_MARK, text), tuple(self._ids.findall(text)))


def plain(call: ModelCall) -> Plain:
    """What is asked, as plain values: the model, what it is told and offered, and how the answer is drawn.

    Not the seed, which the gateway draws; not what says how an answer travels; not the answer.
    """
    extra = {name: value for name, value in call.extra.items() if name not in _HOW and not name.startswith(_ANSWERED)}
    asked: Plain = msgspec.to_builtins(
        {
            "dialect": call.dialect,
            "model": call.model,
            "messages": call.messages,
            "tools": call.tools,
            "sampling": replace(call.sampling, seed=None),
            "extra": extra,
        }
    )
    if not call.messages and call.prompt_token_ids:
        asked["prompt_token_ids"] = list(call.prompt_token_ids)
    return asked


def differences(recorded: Plain, asked: Plain, *, masked: Callable[[str], str] = str) -> tuple[Mapping[str, Any], ...]:
    """Where two requests differ, in the order in which a reader comes by: `at`, a path; `recorded` and `asked`.

    Of long texts only what stands around the first place that differs; `masked` is a text without what may differ.
    """
    found = _differing("", recorded, asked, masked)
    return tuple(one for one, _ in zip(found, range(_LISTED), strict=False))


_ORDER = ("dialect", "model", "messages", "tools", "sampling", "extra")
_MISSING = object()


def _differing(at: str, one: Any, two: Any, masked: Callable[[str], str]) -> Iterator[Mapping[str, Any]]:
    match one, two:
        case dict(), dict():
            names = sorted({*one, *two}, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
            for name in names:
                inner = name if not at or at == "extra" else f"{at}.{name}"
                yield from _differing(inner, one.get(name, _MISSING), two.get(name, _MISSING), masked)
        case ((list() | tuple()), (list() | tuple())):
            for number in range(max(len(one), len(two))):
                then, now = (side[number] if number < len(side) else _MISSING for side in (one, two))
                yield from _differing(f"{at}[{number}]", then, now, masked)
        case str(), str() if one != two:
            if masked(one) != masked(two):
                shown = _around(one, two)
                yield {"at": at, "recorded": shown[0], "asked": shown[1]}
        case _ if one is not two and one != two:
            yield {"at": at, "recorded": _shown(one), "asked": _shown(two)}


def _around(one: str, two: str) -> tuple[str, str]:
    """Both, from a little before the first letter that differs to a little after it."""
    same = next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return _cut(one, same), _cut(two, same)


def _cut(text: str, place: int) -> str:
    begin, end = max(0, place - _SHOWN), place + _SHOWN
    return ("…" if begin else "") + text[begin:end] + ("…" if end < len(text) else "")


def _shown(value: Any) -> Any:
    if value is _MISSING:
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return _cut(text, _SHOWN) if len(text) > 2 * _SHOWN or isinstance(value, str) else value


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {name: _each_text(value[name], change) for name in sorted(value)}
        case list() | tuple():
            return [_each_text(one, change) for one in value]
    return value


def _key(asked: Any) -> str:
    try:
        return digest(msgspec.json.encode(asked, order="deterministic"))
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can say and UTF-8 cannot
        return digest(json.dumps(asked, sort_keys=True).encode())


def _masked(found: re.Match[str]) -> str:
    return _MARK if found.group() else ""


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise BadValue("ignore", text, why=f"it is no regular expression ({error})") from None
