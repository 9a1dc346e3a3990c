"""`agl log export`, `import`, `query`: rows out of a log, and logs out of files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._counting import counting
from agl_core.cli._failing import report
from agl_core.cli._logs import busy_is_said, open_log
from agl_core.cli._options import as_json, at, log_level, log_path
from agl_core.cli._tables import print_csv, print_json, print_json_rows, print_table

if TYPE_CHECKING:
    from agl_core.errors import QueryCut
    from agl_core.export import Moved

__all__ = ["register"]

FORMATS = ("db", "duckdb", "parquet", "jsonl")
_PARTLY = 3


def register(group: click.Group) -> None:
    """Put the commands into `agl log`."""
    for command in (query, export, import_):
        group.add_command(command)


@click.command("query")
@click.argument("sql")
@click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="Longest time to work on the answer.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=0), metavar="ROWS", help="Most rows to print.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, names first.")
@at
@log_path
@as_json
@log_level
def query(
    *, sql: str, timeout: float, limit: int | None, as_csv: bool, at: str | None, log_path: str | None, as_json: bool
) -> None:
    """Ask one SELECT of the views of the log, also while others write to it.

    "show tables" lists the views, "describe rollouts" shows the columns of one. The dialect is DuckDB's; nothing but
    the log can be read. An answer that is cut by --limit, or on the way by --timeout, ends with exit code 3.
    """
    from agl_core.export import query as ask

    if as_csv and as_json:
        raise click.UsageError("choose one of --csv and --json")
    show = print_csv if as_csv else print_json_rows if as_json else print_table
    with open_log(log_path, at=at) as log, ask(log, sql, timeout=timeout, limit=limit) as answer:
        rows = _Rows(answer.rows)
        show(answer.columns, rows)
    if rows.cut is not None:
        report(rows.cut, as_json=as_json)
        sys.exit(_PARTLY)


class _Rows:
    """Rows up to where they are cut: what is printed is a whole document all the same."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows = rows
        self.cut: QueryCut | None = None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        from agl_core.errors import QueryCut

        try:
            yield from self._rows
        except QueryCut as cut:
            self.cut = cut


@click.command("export")
@click.argument("path")
@click.option("--format", type=click.Choice(FORMATS), help="What to write; default: as the suffix of PATH says.")
@at
@log_path
@as_json
@log_level
def export(*, path: str, format: str | None, at: str | None, log_path: str | None, as_json: bool) -> None:
    """Write the whole log to PATH: .parquet, .duckdb, .jsonl or .db.

    Every event, blob and seal is in it, as of one moment, also while others write. The file is there when it is
    whole; nothing is written over. The log's own key stays behind. Every command reads an export by --log.
    """
    from agl_core.export import export_log
    from agl_core.log import Format

    with open_log(log_path, projections=True, at=at) as log:
        kind = Format(format) if format else None
        moved = export_log(log, Path(path).expanduser(), format=kind, progress=counting("exported"))
    _say(moved, as_json=as_json)


@click.command("import")
@click.argument("src")
@click.argument("dst")
@as_json
@log_level
def import_(*, src: str, dst: str, as_json: bool) -> None:
    """Make a log at DST of the export SRC, whatever its format; runs may write to it.

    It has the same events, blobs and seals, and a key of its own. Nothing is written over.
    """
    from agl_core.export import import_log

    source, path = Path(src).expanduser(), Path(dst).expanduser()
    with busy_is_said(source):
        moved = import_log(source, path, progress=counting("imported"))
    _say(moved, as_json=as_json)


def _say(moved: Moved, *, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(moved.path), "format": str(moved.format), "head": moved.head, "seal": moved.seal})
    else:
        click.echo(f"{moved.path}: {moved.format}, head {moved.head}, seal {moved.seal or '-'}")
