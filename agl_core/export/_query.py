"""SQL over a log: DuckDB answers from copies of the few columns a query needs, and can reach nothing else.

DuckDB never opens the file. Its SQLite extension, and every other second copy of SQLite in this process, would drop the
locks that a writer here holds on it when it closes, and a committed row could be lost. So rows go through `sqlite3`
and Arrow batches, and a live log may be asked while others write to it.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agl_core.errors import BadQuery
from agl_core.export._views import VIEWS, Column, View
from agl_core.log import SqliteLog

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Answer", "query"]

MEMORY = "1GB"
"""What is more goes to a temporary folder."""
_BATCH = 4096
_PAGE = 1000
_READ = {"JSON": "{}::json", "TIMESTAMP": "make_timestamp({})", "BOOLEAN": "{} <> 0"}
_NO_ROWS = {"desc", "describe", "show"}
"""These look at columns only."""
_WRITE = {"TIMESTAMP": "({}) / 1000"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query gives."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    """Once, and only while the `with` lasts."""


@contextmanager
def query(log: SqliteLog | Path | str, sql: str) -> Iterator[Answer]:
    """Ask one `select` of the views; all of them show the log at one position, also while others write.

    Raises `BadQuery`. Nothing but the log can be read: no file, no network, no extension.
    """
    import duckdb

    if not isinstance(log, SqliteLog):
        with SqliteLog(log, readonly=True) as opened, query(opened, sql) as answer:
            yield answer
        return
    with tempfile.TemporaryDirectory(prefix="agl-query-") as spill, closing(_locked_down(spill)) as db:
        try:
            _fill(db, log.path, sql)
            result = db.execute(sql)
            described = result.description or []
            yield Answer(
                columns=tuple(column[0] for column in described),
                types=tuple(str(column[1]) for column in described),
                rows=_pages(result),
            )
        except duckdb.Error as error:
            raise BadQuery(str(error)) from None


def _locked_down(spill: str) -> DuckDBPyConnection:
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            # Without it, `select * from spill` would read this function's variables.
            "python_enable_replacements": "false",
            "temp_directory": spill,
            "memory_limit": MEMORY,
        },
    )


def _pages(result: DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while page := result.fetchmany(_PAGE):
        yield from page


# --- which columns of which views


def _fill(db: DuckDBPyConnection, path: Path, sql: str) -> None:
    """Make all views, empty, and copy what `sql` reads into them, from one snapshot of the file."""
    has_plan = _is_one_plan(db, sql)
    for view in VIEWS.values():
        declared = ", ".join(f'"{column.name}" {column.type}' for column in view.columns)
        db.execute(f"create table {view.name} ({declared})")
    needed = _needed(db, sql, has_plan=has_plan)
    db.execute("set lock_configuration = true")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=60)) as source:
        source.execute("begin")
        for name, columns in needed.items():
            _copy(source, db, VIEWS[name], columns)


def _is_one_plan(db: DuckDBPyConnection, sql: str) -> bool:
    """Whether the plan of `sql` says all that it looks at; refuses what is not one query, or more than a query."""
    from duckdb import StatementType

    statements = db.extract_statements(sql)
    if len(statements) != 1:
        raise BadQuery(f"one query at a time, and this is {len(statements)}")
    if statements[0].type not in {StatementType.SELECT, StatementType.EXPLAIN, StatementType.MULTI}:
        raise BadQuery(f"a query reads, and this is {statements[0].type.name}: the log keeps what it has")
    # A pivot is what DuckDB calls MULTI: it looks for its columns first, and over empty views finds none.
    return bool(statements[0].type == StatementType.SELECT)


def _needed(db: DuckDBPyConnection, sql: str, *, has_plan: bool) -> Mapping[str, Sequence[Column]]:
    """View to the columns that `sql` looks at; when its plan does not tell, all of every view it mentions."""
    if sql.split(maxsplit=1)[0].lower() in _NO_ROWS:
        return {}
    scanned = _scanned(db, sql) if has_plan else {}
    if not scanned:
        lower = sql.lower()
        return {name: view.columns for name, view in VIEWS.items() if name in lower}
    needed = {}
    for name, wanted in scanned.items():
        columns = VIEWS[name].columns
        tells = wanted <= {column.name for column in columns}
        # The first column is always there: it makes the rows that `count(*)` counts.
        needed[name] = [column for column in columns if column is columns[0] or column.name in wanted or not tells]
    return needed


def _scanned(db: DuckDBPyConnection, sql: str) -> dict[str, set[str]]:
    """View to the columns that the plan of `sql` scans; empty when it shows none."""
    import duckdb

    # Empty tables would be optimised away, and a filter that is pushed into a scan hides what it looks at.
    db.execute("set disabled_optimizers = 'statistics_propagation,filter_pushdown'")
    try:
        plan = json.loads(db.execute(f"explain (format json) {sql}").fetchall()[0][1])
    except (duckdb.ParserException, duckdb.InvalidInputException, IndexError, ValueError):
        return {}
    except duckdb.Error:
        # The query is at fault. Over empty views it says so at once, and in its own words.
        db.execute(sql)
        return {}
    finally:
        db.execute("reset disabled_optimizers")
    found: dict[str, set[str]] = {}
    for scan in _scans(plan):
        name = str(scan.get("Table", "")).rpartition(".")[2]
        columns = scan.get("Projections", [])
        if name in VIEWS:
            found.setdefault(name, set()).update([columns] if isinstance(columns, str) else columns)
    return {name: columns - {""} for name, columns in found.items()}


def _scans(nodes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for node in nodes:
        if "SCAN" in node["name"]:
            yield node.get("extra_info", {})
        yield from _scans(node.get("children", ()))


# --- from one to the other


def _copy(source: sqlite3.Connection, db: DuckDBPyConnection, view: View, columns: Sequence[Column]) -> None:
    import nanoarrow

    read = ", ".join(_WRITE.get(column.type, "{}").format(column.source) for column in columns)
    write = ", ".join(
        _READ.get(column.type, "{}").format(f'"{column.name}"') + f' as "{column.name}"' for column in columns
    )
    kinds = [_arrow(column.type) for column in columns]
    schema = nanoarrow.struct(dict(zip((column.name for column in columns), kinds, strict=True)))
    rows = source.execute(f"select {read} from {view.source}")  # noqa: S608 - names of ours
    while page := rows.fetchmany(_BATCH):
        children = [
            nanoarrow.c_array(values, kind) for values, kind in zip(zip(*page, strict=True), kinds, strict=True)
        ]
        batch = nanoarrow.c_array_from_buffers(schema, len(page), [None], children=children)
        db.register("arriving", nanoarrow.ArrayStream(batch))
        db.execute(f"insert into {view.name} by name select {write} from arriving")  # noqa: S608 - the same
        db.unregister("arriving")


def _arrow(type_: str) -> Any:
    import nanoarrow

    match type_:
        case "DOUBLE":
            return nanoarrow.float64()
        case "VARCHAR" | "JSON":
            return nanoarrow.string()
        case _:
            return nanoarrow.int64()
