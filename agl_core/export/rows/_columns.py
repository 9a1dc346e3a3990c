"""Records into columns: the types that they need, found as they go by, and Parquet of them.

Written by DuckDB, which is here anyway and holds lists of structs: the records go to a file of lines first, and are
read back with the types that all of them came to. So what is in memory is a record at first and a row group later,
and nobody is asked for a schema, or for pyarrow.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from agl_core.errors import ExportRefused
from agl_core.export.rows._nulls import blank
from agl_core.export.rows._places import new_place

__all__ = ["Kind", "both", "kind_of", "write_dataset", "write_parquet"]

_GROUP = 64 << 20
"""Bytes a group of Parquet, about: what its writer and its reader hold at once."""
_LEAST, _MOST = 2_048, 122_880
_USUAL = 1 << 20
"""Bytes of a line that DuckDB is told to make room for at least."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Items:
    """A list, and the kind of what is in it."""

    of: Kind


@dataclass(frozen=True, slots=True)
class Fields:
    """An object: names to kinds."""

    of: Mapping[str, Kind]


Kind = str | Items | Fields | None
"""A type of DuckDB's by name, or what is made of them; None of what was null each time."""


def write_parquet(records: Iterable[Mapping[str, Any]], path: Path) -> None:
    """A Parquet file of them, whole or not at all. A field that is of two kinds, or whose names clash, is JSON text."""
    with new_place(path) as part, _selected(records, part.with_name("lines"), path) as found:
        rows = max(_LEAST, min(_MOST, _GROUP // found.each))
        how = f"format parquet, compression zstd, row_group_size {rows}"
        found.db.execute(f"copy ({found.select(found.spools)}) to '{_quoted(str(part))}' ({how})")


def write_dataset(records: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """The files of a data set that `datasets` keeps on a disk, in a folder that is there: a stream of Arrow's, with the
    same columns as in Parquet, and what it must know beside."""  # noqa: D205, D209 - one sentence
    from nanoarrow import ArrayStream, c_array
    from nanoarrow.ipc import StreamWriter

    name = "data-00000-of-00001.arrow"
    with (
        _selected(records, folder / "lines", folder) as found,
        StreamWriter.from_path(folder / name) as writer,
    ):
        for spool in found.spools:  # DuckDB hands over what it has read as a whole
            for batch in ArrayStream(found.db.sql(found.select([spool]))):
                writer.write_array(blank(c_array(batch)))
    shutil.rmtree(folder / "lines")
    state = {"_data_files": [{"filename": name}], "_fingerprint": _fingerprint(folder / name), "_split": None}
    formatting: dict[str, Any] = {
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
    }
    (folder / "state.json").write_bytes(_encode(state | formatting))
    (folder / "dataset_info.json").write_bytes(
        _encode({"citation": "", "description": "", "homepage": "", "license": ""})
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selected:
    db: duckdb.DuckDBPyConnection
    spools: Sequence[Path]
    """Files of lines, in order."""
    select: Callable[[Sequence[Path]], str]
    """The query that gives the records of such files, one a row."""
    each: int
    """Bytes of a record, about."""


@contextlib.contextmanager
def _selected(records: Iterable[Mapping[str, Any]], folder: Path, place: Path) -> Iterator[_Selected]:
    """The records behind a query; `folder` is made, for files that hold them in the meantime."""
    found: Kind = Fields({})
    longest, size, count = _USUAL, 0, 0
    folder.mkdir()
    spools: list[Path] = []
    with contextlib.ExitStack() as files:
        for record in records:
            found = both(found, kind_of(record))
            if size >= _GROUP * len(spools):
                files.close()
                spools.append(folder / f"{len(spools):06}")
                file = files.enter_context(spools[-1].open("xb"))
            written = file.write(_encode(record) + b"\n")
            # Measured, for DuckDB makes room for several of the longest, met or not.
            longest, size, count = max(longest, written), size + written, count + 1
    assert isinstance(found, Fields), "records are objects"
    select = _query(found.of, longest, place)
    with contextlib.closing(duckdb.connect(":memory:")) as db:
        db.execute("set enable_progress_bar = false")  # at a prompt it would be printed among the data
        db.execute("set threads = 1")  # each holds a group of rows, and the lines were the work
        try:
            yield _Selected(db=db, spools=spools, select=select, each=size // max(count, 1) + 1)
        except RuntimeError as error:
            if "interrupted" in str(error).lower():  # DuckDB's word for Ctrl-C, which it hears itself
                raise KeyboardInterrupt from None
            raise
        except duckdb.IOException as error:
            cure = "Choose a place that you may write to, with room"
            raise ExportRefused(str(place), why=str(error), cure=cure) from None


def _query(kinds: Mapping[str, Kind], longest: int, place: Path) -> Callable[[Sequence[Path]], str]:
    if not kinds or not _are_distinct(kinds):
        names = ", ".join(kinds) or "nothing"
        raise ExportRefused(str(place), why=f"columns cannot be called {names}", cure="Write lines")
    read = ", ".join(f"'{_quoted(name)}': '{_quoted(_named(kind))}'" for name, kind in kinds.items())
    # JSON text is text to whoever reads the file: only DuckDB has a type for it.
    shown = ", ".join(f"{_name(name)}::{_named(kind, json='varchar')} as {_name(name)}" for name, kind in kinds.items())
    options = f"format = 'newline_delimited', columns = {{{read}}}, maximum_object_size = {longest}"

    def select(spools: Sequence[Path]) -> str:
        files = ", ".join(f"'{_quoted(str(spool))}'" for spool in spools)
        return f"select {shown} from read_json([{files}], {options})"  # noqa: S608 - quoted by us

    return select


def kind_of(value: Any) -> Kind:
    """What a value of JSON needs."""
    match value:
        case None:
            return None
        case bool():
            return "boolean"
        case int():
            return "bigint" if -(2**63) <= value < 2**63 else "json"
        case float():
            return "double"
        case str():
            return "varchar"
        case Mapping():
            return Fields({name: kind_of(inner) for name, inner in value.items()})
        case _:
            return Items(reduce(both, map(kind_of, value), None))


def both(one: Kind, other: Kind) -> Kind:
    """What holds values of either kind."""
    if one == other or other is None:
        return one
    match one, other:
        case None, _:
            return other
        case ("bigint", "double") | ("double", "bigint"):
            return "double"
        case Items(left), Items(right):
            return Items(both(left, right))
        case Fields(left), Fields(right):
            return Fields({**left, **{name: both(left.get(name), kind) for name, kind in right.items()}})
    return "json"


def _named(kind: Kind, *, json: str = "json") -> str:
    """As DuckDB writes it."""
    match kind:
        case None:
            return "varchar"
        case Items(of):
            return f"{_named(of, json=json)}[]"
        case Fields(of) if of and _are_distinct(of):
            return f"struct({', '.join(f'{_name(name)} {_named(inner, json=json)}' for name, inner in of.items())})"
        case Fields() | "json":
            return json
    return str(kind)


def _are_distinct(names: Iterable[str]) -> bool:
    """Whether they can name columns: DuckDB takes `A` and `a` for one."""
    folded = [name.lower() for name in names]
    return all(folded) and len(set(folded)) == len(folded)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _fingerprint(path: Path) -> str:
    """Of what is in it: `datasets` finds by it again what it made of the data."""
    with path.open("rb") as file:
        return file_digest(file, partial(blake2b, digest_size=8)).hexdigest()
