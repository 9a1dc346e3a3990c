"""Which formats something looks to be in, by its first lines: for whoever named another one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agl_core.importing._lines import opened

__all__ = ["Look", "looks"]

_BYTES = 1 << 16
_SQLITE, _PARQUET = b"SQLite format 3\0", b"PAR1"


@dataclass(frozen=True, slots=True)
class Look:
    """What something seems to be."""

    format: str | None
    """That we import, if it is one of them."""
    words: str
    cure: str


def looks(source: str) -> list[Look]:
    """What `source` may be, the likeliest first; nothing where nothing tells."""
    if source.startswith(("http://", "https://")):
        return [_of("agl-v0.3", "the address of a server")]
    path = Path(source)
    if path.is_dir():
        return [_of("atif", "a folder of trajectories")] if next(path.rglob("trajectory*.json"), None) else []
    with opened(path) as file:
        head = file.read(_BYTES)
    if head.startswith(_SQLITE):
        return [Look(None, "a database of SQLite", "A log of ours is read where it is: give it as --log")]
    if head.startswith(_PARQUET):
        return [Look(None, "Parquet", "Of an export of a log, `agl log import` makes one; of rows, write JSON lines")]
    if head[:1] == b"\0":
        return [_of("otlp", "OTLP in protobuf")]
    names = set(_names(head.decode(errors="replace").lstrip()))
    return [look for marks, look in _MARKS.items() if names.issuperset(marks)]


def _names(text: str) -> Iterator[str]:
    """The names at the top of the first object, as far as it goes: a line may be longer than what was read."""
    depth, is_name = 0, False
    for found in _TOKEN.finditer(text):
        match found[0]:
            case "{" | "[":
                depth += 1
                is_name = depth == 1 and found[0] == "{"
            case "}" | "]":
                depth -= 1
                if depth <= 0:
                    return
            case ",":
                is_name = depth == 1
            case word if is_name:
                is_name = False
                yield str(json.loads(word, strict=False))


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],]')


def _of(format: str, words: str) -> Look:
    return Look(format, words, f"Import it with `agl import {format}`")


_CONVERT = "Write its turns as messages with role and content, a chat a line, and import that as jsonl"
_MARKS: Mapping[tuple[str, ...], Look] = {
    ("schema_version", "agent", "steps"): _of("atif", "a trajectory of ATIF"),
    ("resourceSpans",): _of("otlp", "OTLP in JSON"),
    ("resourceLogs",): _of("otlp", "OTLP in JSON"),
    ("resourceMetrics",): _of("otlp", "OTLP in JSON"),
    ("messages",): _of("jsonl", "chats in JSON lines"),
    ("input", "preferred_output"): _of("jsonl", "preferences in JSON lines"),
    ("position", "stream", "type"): Look(None, "an export of a log of ours", "Make a log of it by `agl log import`"),
    ("conversations",): Look(None, "ShareGPT", _CONVERT),
    ("chosen", "rejected"): Look(None, "preferences as TRL has them", _CONVERT),
    ("prompt", "completion"): Look(None, "prompts with their completions", _CONVERT),
}
"""By names that stand at the top of it, the surest first."""
