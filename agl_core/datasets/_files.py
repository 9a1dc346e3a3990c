"""Files of tasks, by their names: JSON, JSON Lines, CSV and Parquet, one or those of a pattern."""

from __future__ import annotations

import codecs
import glob
import gzip
import zlib
from pathlib import Path
from typing import Any

from agl_core.datasets._json import json_tasks
from agl_core.datasets._tables import csv_tasks, parquet_tasks
from agl_core.errors import BadValue

__all__ = ["file_tasks", "found"]

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def file_tasks(pattern: str) -> tuple[Any, ...]:
    """The tasks of every file that `pattern` names, files A to Z."""
    return tuple(task for path in found(pattern) for task in _tasks(path))


def found(pattern: str) -> list[Path]:
    """The files that `pattern` names; a name that is there is no pattern. Raises `BadValue` when there are none."""
    path = Path(pattern).expanduser()
    if path.is_dir():
        raise BadValue("data set", pattern, why=f"it is a folder: name its files, such as {path / '*.jsonl'}")
    if path.exists():
        return [path]
    paths = [Path(one) for one in sorted(glob.glob(str(path), recursive=True)) if Path(one).is_file()]  # noqa: PTH207 - a pattern may begin anywhere
    if not paths:
        raise BadValue("data set", pattern, why="there is no such file")
    return paths


def _tasks(path: Path) -> list[Any]:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".parquet":
        return parquet_tasks(path)
    text = _text(path)
    return csv_tasks(path, text) if suffix in {".csv", ".tsv"} else json_tasks(path, text, suffix)


def _text(path: Path) -> str:
    """What the file says, without the mark that some editors begin with."""
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise BadValue("data set", str(path), why=str(getattr(error, "strerror", None) or error)) from None
    mark = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    try:
        return content[mark:].decode()
    except UnicodeDecodeError as error:
        likely = "UTF-16" if content.startswith(_UTF_16) else "ISO-8859-1"
        cure = f"`iconv -f {likely} -t UTF-8 FILE > NEW`, if it is {likely}"
        raise BadValue("data set", str(path), why=f"byte {mark + error.start} is not UTF-8: {cure}") from None
