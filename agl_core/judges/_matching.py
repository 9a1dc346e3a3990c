"""A pattern matched in a process of its own, ended when it takes too long: `re` cannot be stopped otherwise."""

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


def _bits(flags: str) -> int:
    bits = 0
    for flag in flags:
        bits |= _FLAGS.get(flag, 0)
    return bits
