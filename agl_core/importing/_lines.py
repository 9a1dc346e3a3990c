"""Files of lines, each a JSON object; and how to get at a file at all."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from agl_core.errors import ImportLineBad, ImportRefused
from agl_core.importing._story import Refused
from agl_core.wire import json_object

__all__ = ["bad", "lines", "objects", "opened"]


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any] | Refused]]:
    """Each line that is not empty: where it stands, and the object it is, or why it is none."""
    for where, raw in lines(path):
        try:
            yield where, json_object(raw)
        except ValueError as error:
            yield where, bad(where, _no_object(raw, error))


def lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line that is not empty, with where it stands: `run.jsonl:17`."""
    with opened(path) as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield f"{path.name}:{number}", raw


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, inflated where it was deflated by gzip; `ImportRefused` where it cannot be read."""
    try:
        with path.open("rb") as file:
            is_deflated = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if is_deflated:
                with gzip.open(file) as inflated:
                    yield cast("IO[bytes]", inflated)
            else:
                yield file
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ImportRefused(str(path), why=why, cure="Give the path of a file you may read") from None


def bad(where: str, why: str) -> Refused:
    """What one line is refused for."""
    return Refused.of(where, ImportLineBad(where, why=why))


def _no_object(raw: bytes, error: ValueError) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8: `iconv -f ISO-8859-1 -t UTF-8 FILE > NEW`, if it is ISO-8859-1"
    return f"it is no JSON object ({error})"
