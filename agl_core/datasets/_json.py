"""Tasks as JSON: a line each, or one array of them; an error names the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agl_core.errors import BadValue

__all__ = ["json_tasks"]

_SHOWN = 60
_decode = msgspec.json.Decoder().decode


def json_tasks(path: Path, text: str, suffix: str) -> list[Any]:
    """By the suffix; where that does not tell, by how it begins: a line of a task list could be a list too."""
    if suffix in {".jsonl", ".ndjson"}:
        return _lines(path, text)
    if text.lstrip()[:1] == "[":
        return _array(path, text)
    return _lines(path, text) if suffix != ".json" or not _is_one_value(text) else _array(path, text)


def _is_one_value(text: str) -> bool:
    """Many a `.json` has a value a line."""
    try:
        _decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _array(path: Path, text: str) -> list[Any]:
    try:
        found = _decode(text)
    except msgspec.DecodeError as error:
        raise BadValue("data set", str(path), why=f"it is not JSON: {error}") from None
    if not isinstance(found, list):
        raise BadValue("data set", str(path), why="it is one JSON value, and no list of tasks")
    return found


def _lines(path: Path, text: str) -> list[Any]:
    tasks = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            tasks.append(_decode(line))
        except msgspec.DecodeError as error:
            shown = line.strip()[:_SHOWN]
            raise BadValue(f"{path}, line {number}", shown, why=f"it is not JSON: {error}") from None
    return tasks
