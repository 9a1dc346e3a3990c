"""What the log has of a movement beside what the code asks for now: where the two differ, and who asks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, zip_longest
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec

from agl_core.errors import ReplayDiverged
from agl_core.ids import content_id
from agl_core.record import Record

__all__ = ["differences", "diverged", "in_code", "kept", "place", "shown"]

_SHOWN = 60
"""Characters of a text that are shown from a little before the place where it differs."""
_LISTED = 5
_KEPT = 1024
"""Bytes up to which an argument is kept as it is."""
_NOTHING = object()
_OURS = ("agl_core.run.", "agl_core.replay.", "agl_core.store.", "agl_core.log.", "contextlib")
"""Modules between a movement and the code that makes it."""


def diverged(key: str, record: Record | None, *, recorded: Any, asked: Any, where: str | None = None) -> ReplayDiverged:
    """The error of two sides, each plain JSON."""
    return ReplayDiverged(
        key,
        position=record.position if record is not None else None,
        recorded=shown(recorded),
        asked=shown(asked),
        difference=tuple(islice(differences(recorded, asked), _LISTED)),
        where=in_code() if where is None else where,
        by=record.actor if record is not None else "",
    )


def differences(recorded: Any, asked: Any, at: str = "") -> Iterator[dict[str, Any]]:
    """Where two JSON values differ, in order: `at` is the path there; a side that has nothing there is left out."""
    match recorded, asked:
        case Mapping(), Mapping():
            for name in sorted({*recorded, *asked}):
                sides = recorded.get(name, _NOTHING), asked.get(name, _NOTHING)
                yield from differences(*sides, f"{at}.{name}" if at else str(name))
        case (list() | tuple(), list() | tuple()):
            for place, sides in enumerate(zip_longest(recorded, asked, fillvalue=_NOTHING)):
                yield from differences(*sides, f"{at}[{place}]")
        case str(), str() if recorded != asked:
            first = next((n for n, (a, b) in enumerate(zip(recorded, asked, strict=False)) if a != b), None)
            first = min(len(recorded), len(asked)) if first is None else first
            yield {"at": at, "recorded": _excerpt(recorded, first), "asked": _excerpt(asked, first)}
        case _ if recorded != asked or isinstance(recorded, bool) != isinstance(asked, bool):
            sides_ = {"recorded": recorded, "asked": asked}
            yield {"at": at, **{side: _short(value) for side, value in sides_.items() if value is not _NOTHING}}


def shown(value: Any) -> str:
    """A side in a few words."""
    text = value if isinstance(value, str) else msgspec.json.encode(value, order="sorted", enc_hook=str).decode()
    return text if len(text) <= 3 * _SHOWN else f"{text[: 3 * _SHOWN]}..."


def kept(arguments: Iterable[bytes]) -> tuple[Any, ...]:
    """Arguments, each as JSON, as the log has them: of a long one its hash, and how long it is."""
    return tuple(
        msgspec.json.decode(one) if len(one) <= _KEPT else {"digest": content_id(one), "bytes": len(one)}
        for one in arguments
    )


def in_code() -> str:
    """`path:line in function` of the code that moves the run now; empty where that is not to be seen from here."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect` would read the source of each
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("asyncio."):  # what runs the loop is not what runs in it
            return ""
        if not module.startswith(_OURS):
            return place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return ""


def place(code: CodeType, line: int) -> str:
    """A line, as people find it."""
    return f"{_path(code.co_filename)}:{line} in {code.co_qualname}"


def _excerpt(text: str, first: int) -> str:
    start = max(0, first - _SHOWN // 3)
    cut = text[start : start + _SHOWN]
    return f"{'...' if start else ''}{cut}{'...' if start + _SHOWN < len(text) else ''}"


def _short(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else shown(value)


def _path(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
