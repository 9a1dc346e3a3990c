"""Files and folders that are there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from agl_core.errors import ExportRefused

__all__ = ["new_file", "new_folder", "new_place"]

_MARK = ".agl-export"
"""A file in each folder that was written here: no other folder is ever replaced."""


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` when the block ends well; else nothing is left of it."""
    with new_place(path) as part, part.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `path` when the block ends well; else nothing is left of it."""
    with new_place(path) as part:
        part.mkdir()
        (part / _MARK).touch()
        yield part


@contextmanager
def new_place(path: Path) -> Iterator[Path]:
    """A path where nothing is, in a private folder; what is there when the block ends well becomes `path`."""
    path = path.absolute()
    if path.is_dir() and not (path / _MARK).exists() and any(path.iterdir()):
        why, cure = "it is a folder of something else", "Name a place of its own"
        raise ExportRefused(str(path), why=why, cure=cure)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, not in /tmp: only within a file system does a rename take the place of a file at once.
        room = Path(tempfile.mkdtemp(prefix=".agl-export-", dir=path.parent))
    except OSError as error:
        raise _refused(path, error) from None
    try:
        part = room / "part"
        yield part
        if path.is_dir():
            path.rename(room / "before")  # a rename takes the place of no folder
        part.replace(path)
    except OSError as error:
        raise _refused(path, error) from None
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _refused(path: Path, error: OSError) -> ExportRefused:
    why = error.strerror or str(error)
    return ExportRefused(str(path), why=why, cure="Choose a place that you may write to, with room")
