"""A pattern matched at once where that cannot take long, else in a process that is ended: `re` cannot be stopped."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import msgspec

from agl_core.errors import BadValue

__all__ = ["How", "Slow", "check_pattern", "matched"]

How = Literal["search", "match", "fullmatch"]
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_PROGRAM = """
import json, re, sys
pattern, flags, how, text = json.load(sys.stdin)
found = getattr(re.compile(pattern, flags), how)(text)
json.dump(None if found is None else [found.start(), found.end(), *found.groups()], sys.stdout)
"""


_FEW = 10_000_000
"""Steps that are taken without asking: some hundredths of a second."""
_VERBOSE = re.compile(r"\(\?[a-zA-Z]*x")
_MANY = 100
"""Repetitions of a pattern that nobody counts further."""
_ESCAPED = re.compile(r"\\(?:[1-9g]|.)", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_CHOICE = re.compile(r"[*+?{|]")


class Slow(Exception):
    """The pattern did not come to an end in time."""


@dataclass(frozen=True, slots=True)
class _Match:
    start: int
    end: int
    groups: Sequence[str | None]


def check_pattern(field: str, pattern: str, flags: str = "") -> re.Pattern[str]:
    """The pattern; `BadValue` for what is none."""
    if strange := sorted(set(flags) - _FLAGS.keys()):
        raise BadValue("flags", "".join(strange), why=f"known are {', '.join(_FLAGS)}")
    try:
        return re.compile(pattern, _bits(flags))
    except (re.error, OverflowError, RecursionError) as error:
        raise BadValue(field, pattern, why=f"it is no pattern: {error}") from None


async def matched(pattern: str, text: str, *, how: How = "search", flags: str = "", seconds: float) -> _Match | None:
    """What the pattern finds, or None. Raises `Slow` after so many seconds."""
    if "x" not in flags and worst(pattern, len(text)) <= _FEW:
        at_once = getattr(re.compile(pattern, _bits(flags)), how)(text)
        return None if at_once is None else _Match(at_once.start(), at_once.end(), at_once.groups())
    asked = msgspec.json.encode([pattern, int(_bits(flags)), how, text.encode("utf-8", "replace").decode()])
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-c", _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(seconds):
            told, _ = await child.communicate(asked)
    except TimeoutError:
        raise Slow from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    found = msgspec.json.decode(told)
    return None if found is None else _Match(found[0], found[1], found[2:])


def worst(pattern: str, length: int) -> float:
    """More steps than a match of a text of that length can take; infinite where that is not easily seen.

    A repetition ends in at most `length` places, an alternative is one of two, and all are tried from each place: it is
    `length` to the power of one more than there are of both. What repeats a group may be far worse.
    """
    if _VERBOSE.search(pattern):
        return float("inf")  # blanks and comments may stand between a group and what repeats it
    if any(found[0] == "\\g" or found[0][1:].isdigit() for found in _ESCAPED.finditer(pattern)) or "(?P=" in pattern:
        return float("inf")  # what was found before is looked for again
    plain = _CLASS.sub("c", _ESCAPED.sub("c", pattern))
    if re.search(r"\)[*+?{]", plain):
        return float("inf")
    choices = len(_CHOICE.findall(plain))
    return float(max(length, 2) ** (choices + 1)) if choices < _MANY else float("inf")


def _bits(flags: str) -> int:
    bits = 0
    for flag in flags:
        bits |= _FLAGS.get(flag, 0)
    return bits
