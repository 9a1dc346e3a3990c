"""Records to a file: JSON lines as they come, a JSON array, or columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agl_core.errors import ExportEmpty, ExportRefused
from agl_core.export._exporter import Exported, Skipped
from agl_core.export.rows._places import new_file

__all__ = ["Tally", "write_records"]

_encode = msgspec.json.Encoder().encode


class Tally:
    """Counts what goes by: records go on, rows that were skipped do not."""

    def __init__(self) -> None:
        self.written = 0
        self._skipped: Counter[str] = Counter()

    def __call__(self, records: Iterable[Mapping[str, Any] | Skipped]) -> Iterator[Mapping[str, Any]]:
        """The records among them. Raises `ExportEmpty` after the last where there was none, so no file is left."""
        for record in records:
            if isinstance(record, Skipped):
                self._skipped[record.reason] += 1
            else:
                self.written += 1
                yield record
        if not self.written:
            raise ExportEmpty(skipped=self._skipped)

    def exported(self, path: Path) -> Exported:
        """What it came to."""
        return Exported(path=path, written=self.written, skipped=dict(self._skipped))


def write_records(records: Iterable[Mapping[str, Any] | Skipped], path: Path) -> Exported:
    """A file of records, by its suffix: `.jsonl` and `.json` (an array), with one record in memory at a time, and
    `.parquet`, with columns of the types that the records need. Of no record it makes no file: `ExportEmpty`."""  # noqa: D205, D209 - one paragraph
    tally = Tally()
    told = tally(records)
    match path.suffix:
        case ".jsonl":
            with new_file(path) as file:
                file.writelines(_encode(record) + b"\n" for record in told)
        case ".json":
            with new_file(path) as file:
                for record in told:
                    file.write((b"[\n" if tally.written == 1 else b",\n") + _encode(record))
                file.write(b"\n]\n")
        case ".parquet":
            # Imported here: DuckDB takes a while, and lines do without.
            from agl_core.export.rows._columns import write_parquet

            write_parquet(told, path)
        case suffix:
            why = f"no records are written as {suffix}" if suffix else "its name has no suffix"
            raise ExportRefused(str(path), why=why, cure="Name it .jsonl, .json or .parquet")
    return tally.exported(path)
