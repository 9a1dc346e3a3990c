"""Logs to measure with: in a folder of their own, opened as users open them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE

__all__ = ["bytes_on_disk", "fresh", "open_log"]


def open_log(path: Path, *, durability: str = "normal") -> SqliteLog:
    """As `agl_core.open_log` opens it, redaction included, with the durability that is measured."""
    plugins = Plugins.load()
    return SqliteLog(
        path,
        projections=CORE,
        codec=plugins.codec(),
        redact=plugins.redact,
        durability="full" if durability == "full" else "normal",
    )


@contextmanager
def fresh(durability: str = "normal") -> Iterator[SqliteLog]:
    """A log on disk (where TMPDIR says) that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder:
        log = open_log(Path(folder, "log.db"), durability=durability)
        try:
            yield log
        finally:
            log.close()


def bytes_on_disk(path: Path) -> int:
    """The file and what SQLite keeps beside it."""
    return sum(file.stat().st_size for file in path.parent.glob(path.name + "*") if file.is_file())
