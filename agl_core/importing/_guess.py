"""Which format something looks to be in, by its first lines: for whoever named another one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agl_core.importing._lines import opened

__all__ = ["Look", "look"]

_BYTES = 1 << 16
_SQLITE, _PARQUET = b"SQLite format 3\0", b"PAR1"


@dataclass(frozen=True, slots=True)
class Look:
    """What something seems to be."""

    format: str | None
    """That we import, if it is one of them."""
    words: str
    cure: str


def look(source: str) -> Look | None:
    """What `source` seems to be; null where nothing tells."""
    if source.startswith(("http://", "https://")):
        return _of("agl-v0.3", "the address of a server")
    path = Path(source)
    if path.is_dir():
        return _of("atif", "a folder") if next(path.rglob("trajectory*.json"), None) else None
    with opened(path) as file:
        head = file.read(_BYTES)
    if head.startswith(_SQLITE):
        return Look(None, "a database of SQLite", "A log of ours is read where it is: give it as --log")
    if head.startswith(_PARQUET):
        return Look(None, "Parquet", "An export of a log is made one by `agl log import`; of rows, write JSON lines")
    if head[:1] == b"\0":
        return _of("otlp", "OTLP in protobuf")
    return _json(head)


def _json(head: bytes) -> Look | None:
    first = head.strip().partition(b"\n")[0]
    try:
        said = json.loads(first)
    except ValueError:
        # One document over many lines, which may end past what was read: its first names tell.
        said = {name: None for name in _MARKS if f'"{name}"'.encode() in head} if head.lstrip()[:1] == b"{" else None
    return _named(said) if isinstance(said, Mapping) else None


def _named(said: Mapping[str, Any]) -> Look | None:
    return next((found for name, found in _MARKS.items() if name in said), None)


def _of(format: str, words: str) -> Look:
    return Look(format, words, f"Import it with `agl import {format}`")


_CONVERT = "Write its turns as messages with role and content, a chat a line, and import that as jsonl"
_MARKS: Mapping[str, Look] = {
    "schema_version": _of("atif", "a trajectory of ATIF"),
    "resourceSpans": _of("otlp", "OTLP in JSON"),
    "resourceLogs": _of("otlp", "OTLP in JSON"),
    "resourceMetrics": _of("otlp", "OTLP in JSON"),
    "position": Look(None, "an export of a log of ours", "Make a log of it by `agl log import`"),
    "messages": _of("jsonl", "chats in JSON lines"),
    "preferred_output": _of("jsonl", "preferences in JSON lines"),
    "conversations": Look(None, "ShareGPT", _CONVERT),
    "chosen": Look(None, "preferences as TRL has them", _CONVERT),
    "prompt": Look(None, "prompts with their completions", _CONVERT),
}
"""By a name that only it has at the top, the surest first."""
