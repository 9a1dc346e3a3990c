"""SQL over a log: DuckDB answers from copies of the few columns a query needs, and can reach nothing else.

DuckDB never opens the file. Its SQLite extension, and every other second copy of SQLite in this process, would drop the
locks that a writer here holds on it when it closes, and a committed row could be lost. So rows go through `sqlite3`
and Arrow batches, and a live log may be asked while others write to it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agl_core.errors import BadQuery, QueryCut
from agl_core.export._copying import copy, make, opened, snapshot
from agl_core.export._deadline import Deadline
from agl_core.export._views import VIEWS, Column
from agl_core.log import SqliteLog

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Answer", "asked", "query"]

MEMORY = "1GB"
"""What is more goes to a temporary folder."""
_PAGE = 1000
_NO_ROWS = {"desc", "describe", "show"}
"""These look at columns only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query gives."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    """Once, and only while the `with` lasts. Raises `QueryCut` where a limit cuts it."""


@contextmanager
def query(
    log: SqliteLog | Path | str, sql: str, *, timeout: float | None = None, limit: int | None = None
) -> Iterator[Answer]:
    """Ask one `select` of the views; all of them show the log at one position, also while others write.

    Nothing but the log can be read: no file, no network, no extension. `timeout` counts the seconds that are spent
    on the answer, not those in which nobody asks for the next row. Raises `BadQuery`; `QueryCut` when there is more
    than `limit` rows, after them, or when the time is up.
    """
    with asked(log, sql, timeout=timeout) as (db, deadline):
        with deadline.running():
            result = db.execute(sql)
        described = result.description or []
        yield Answer(
            columns=tuple(column[0] for column in described),
            types=tuple(str(column[1]) for column in described),
            rows=_limited(_pages(result, deadline), limit),
        )


@contextmanager
def asked(
    log: SqliteLog | Path | str, sql: str, *, timeout: float | None = None
) -> Iterator[tuple[DuckDBPyConnection, Deadline]]:
    """A DuckDB in which `sql` can be run, and nothing else be reached."""
    import duckdb

    if not isinstance(log, SqliteLog):
        with opened(Path(log)) as found, asked(found, sql, timeout=timeout) as ready:
            yield ready
        return
    with tempfile.TemporaryDirectory(prefix="agl-query-") as spill, closing(_locked_down(spill)) as db:
        deadline = Deadline(timeout, db.interrupt)
        try:
            with deadline.running():
                _fill(db, log, sql, deadline)
            yield db, deadline
        except duckdb.Error as error:
            raise BadQuery(str(error)) from None


def _locked_down(spill: str) -> DuckDBPyConnection:
    import duckdb

    db = duckdb.connect(
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
    db.execute("set enable_progress_bar = false")  # at a prompt it would be printed among the data
    return db


def _pages(result: DuckDBPyConnection, deadline: Deadline) -> Iterator[tuple[Any, ...]]:
    while True:
        with deadline.running():
            page = result.fetchmany(_PAGE)
        if not page:
            return
        yield from page


def _limited(rows: Iterator[tuple[Any, ...]], limit: int | None) -> Iterator[tuple[Any, ...]]:
    if limit is None:
        yield from rows
        return
    yield from islice(rows, limit)
    if next(rows, None) is not None:
        raise QueryCut(f"{limit} rows", cure="Ask for fewer, or raise the limit")


# --- which columns of which views


def _fill(db: DuckDBPyConnection, log: SqliteLog, sql: str, deadline: Deadline) -> None:
    """Make all views, empty, and copy what `sql` reads into them, from one snapshot of the log."""
    has_plan = _is_one_plan(db, sql)
    for view in VIEWS.values():
        make(db, view)
    needed = _needed(db, sql, has_plan=has_plan)
    db.execute("set lock_configuration = true")
    with snapshot(log) as source:
        deadline.interrupts(source.interrupt)
        for name, columns in needed.items():
            copy(source, db, VIEWS[name], columns)
        deadline.interrupts(db.interrupt)


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
        name = str(scan.get("Table", "")).rpartition(".")[2].strip('"')  # DuckDB quotes some of its words
        columns = scan.get("Projections", [])
        if name in VIEWS:
            found.setdefault(name, set()).update([columns] if isinstance(columns, str) else columns)
    return {name: columns - {""} for name, columns in found.items()}


def _scans(nodes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for node in nodes:
        if "SCAN" in node["name"]:
            yield node.get("extra_info", {})
        yield from _scans(node.get("children", ()))
