"""CSV and Parquet, read by DuckDB: a task a row, and no value made into another."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agl_core.datasets._plain import plain
from agl_core.datasets._rows import named_columns
from agl_core.errors import BadValue, MissingExtra

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["csv_tasks", "parquet_tasks"]

_CONFIG = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
_AS_CSV = (
    ". Save it as CSV: as many values in each line as in the first, quotes doubled inside of quotes, line ends alike"
)
_LONGEST_LINE = 1 << 24
_SEPARATORS = ",;\t|"
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TRUTH = {"true": True, "false": False}


def csv_tasks(path: Path, text: str) -> list[dict[str, Any]]:
    """Its rows, by the names in its first line, which `text` begins with.

    A column is numbers, or true and false, where each of its values is written as JSON would; else it is text, so
    that `007` stays what it is. Nothing between two separators is None.
    """
    separator = _separator(text)
    if not text.strip():
        return []
    names = _names(path, text, separator)
    sql = """
        select * from read_csv(
          ?, columns = ?, delim = ?, auto_detect = false, header = true, quote = '"', escape = '"',
          allow_quoted_nulls = false, strict_mode = true, max_line_size = ?
        )
    """
    with _reading(path, _AS_CSV) as db:
        kinds = dict.fromkeys(names, "VARCHAR")
        found = db.execute(sql, [_literal(path), kinds, separator, _LONGEST_LINE]).fetchall()
    if len(names) == 1:  # of one column, an empty line is a row for DuckDB
        found = [row for row in found if row != (None,)]
    columns = [_typed(column) for column in zip(*found, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def parquet_tasks(path: Path) -> list[dict[str, Any]]:
    """Its rows, with the types it says they have."""
    with _reading(path) as db:
        described = db.execute("describe select * from read_parquet(?)", [_literal(path)]).fetchall()
        names = named_columns([row[0] for row in described], name=str(path))
        wanted = ", ".join(_selected(row[0], row[1]) for row in described)
        sql = f"select {wanted} from read_parquet(?)"  # noqa: S608 - the file's own columns, quoted
        found = db.execute(sql, [_literal(path)]).fetchall()
    zoned = {row[0] for row in described if row[1] == "TIMESTAMP WITH TIME ZONE"}
    return [_task(path, number, names, row, zoned) for number, row in enumerate(found)]


def _task(path: Path, number: int, names: Sequence[str], row: Sequence[Any], zoned: set[str]) -> dict[str, Any]:
    values = (
        value.replace(tzinfo=UTC) if name in zoned and value is not None else value
        for name, value in zip(names, row, strict=True)
    )
    task: dict[str, Any] = plain(dict(zip(names, values, strict=True)), where=f"{path}, row {number}")
    return task


def _selected(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    if kind == "TIMESTAMP WITH TIME ZONE":  # DuckDB needs pytz to give one
        return f"make_timestamp(epoch_us({column}))"
    if kind == "TIMESTAMP_NS":  # Python's has microseconds
        return f"replace({column}::varchar, ' ', 'T')"
    return column


@contextmanager
def _reading(path: Path, cure: str = "") -> Iterator[DuckDBPyConnection]:
    """A DuckDB that reaches no network; what it cannot read is told in its words."""
    import duckdb

    with closing(duckdb.connect(":memory:", config=dict(_CONFIG))) as db:
        db.execute("set enable_progress_bar = false")
        db.execute("set timezone = 'UTC'")  # else a moment is another text on another machine
        try:
            yield db
        except duckdb.Error as error:
            said = str(error)
            if "pytz" in said:
                raise MissingExtra("pytz", install="pip install pytz") from None
            raise BadValue("data set", str(path), why=f"{_told(said)}{cure}") from None


def _told(said: str) -> str:
    """What DuckDB says is wrong, without its options for reading it all the same."""
    return " ".join(re.split(r"\n\n|\nPossible fixes", said)[0].removeprefix("Invalid Input Error: ").split())


def _literal(path: Path) -> str:
    """The path as a pattern of DuckDB's that only it fits."""
    return re.sub(r"[*?\[]", lambda found: f"[{found.group()}]", str(path))


def _separator(text: str) -> str:
    line = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
    return max(_SEPARATORS, key=line.count)


def _names(path: Path, text: str, separator: str) -> Sequence[str]:
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise BadValue("data set", str(path), why=f"its first line is no CSV: {error}") from None
    if not names:
        raise BadValue("data set", str(path), why="its first line is empty, and should name the columns")
    return named_columns(names, name=str(path))


def _typed(column: Sequence[str | None]) -> Sequence[Any]:
    given = [value for value in column if value is not None]
    made: Callable[[str], Any]
    if not given:
        return column
    if all(map(_WHOLE.fullmatch, given)):
        made = int
    elif all(map(_is_number, given)):
        made = float
    elif all(value in _TRUTH for value in given):
        made = _TRUTH.__getitem__
    else:
        return column
    return [None if value is None else made(value) for value in column]


def _is_number(text: str) -> bool:
    """Whether it is written as one, and a float says the same."""
    if not _NUMBER.fullmatch(text):
        return False
    return Decimal(repr(float(text))) == Decimal(text)
