"""Tasks from a file: JSON Lines, or one JSON array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agl_core.errors import BadValue, NoTrainingData

__all__ = ["read_tasks"]

_SHOWN = 60


def read_tasks(path: Path) -> list[Any]:
    """The tasks of a file, each any JSON; an error names the line."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue("data set", str(path), why=str(getattr(error, "strerror", None) or error)) from None
    tasks = _array(path, text) if _is_array(path, text) else _lines(path, text)
    if not tasks:
        raise NoTrainingData(f"{path} has no task in it")
    return tasks


def _is_array(path: Path, text: str) -> bool:
    """By its name; without one that tells, by how it begins: a line of a task list could be a list too."""
    if path.suffix in {".jsonl", ".ndjson"}:
        return False
    return path.suffix == ".json" or text.lstrip().startswith("[")


def _array(path: Path, text: str) -> list[Any]:
    if not text.strip():
        return []
    try:
        found = msgspec.json.decode(text)
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
            tasks.append(msgspec.json.decode(line))
        except msgspec.DecodeError as error:
            shown = line.strip()[:_SHOWN]
            raise BadValue(f"{path}, line {number}", shown, why=f"it is not JSON: {error}") from None
    return tasks
