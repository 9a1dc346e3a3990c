"""Exporters: rows of an adapter, as a file that another tool reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

__all__ = ["Exported", "Exporter", "Skipped"]

Row_contra = TypeVar("Row_contra", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A row that a format cannot hold, or would say something else of."""

    reason: str
    """`no_user_turn`, `roles_do_not_alternate`, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and what was not: together, every record that the rows came to."""

    path: Path
    """The file, or the folder."""
    written: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of rows."""


class Exporter(Protocol[Row_contra]):
    """A frozen dataclass: its fields are options of `agl export NAME`, as are those of its adapter.

    What a row becomes is a pure function; `write` takes what comes of it to the disk. Of both, `agl_core.export.rows`
    has the second: `write_records` for a file, `new_folder` for more than one.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    """What it writes, in one line."""
    suffixes: ClassVar[tuple[str, ...]]
    """What its file may be called, `.jsonl`; the first is its own. None where it writes a folder."""

    @property
    def adapter(self) -> str:
        """Registry name of the adapter whose rows it wants, as it was told."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """What that adapter is told, where nobody says otherwise."""
        ...

    def write(self, rows: Iterable[Row_contra], path: Path) -> Exported:
        """Take the rows one by one and write them to `path`, whole or not at all.

        What was there before is replaced in the end; it stays as it was when `rows`, or anything else, raises.
        """
        ...
