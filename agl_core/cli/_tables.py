"""Data on stdout: JSON for programs, a table for people, aligned text in a pipe."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import click

__all__ = ["facts", "print_csv", "print_json", "print_json_rows", "print_table"]

_WHOLE = 32
"""No cell so short is broken: an id has at most 30 letters."""
_BETWEEN = 3
_MEASURED = 1000
"""So many rows tell how wide a column is; what follows is not held back for it."""


def print_json(value: Any) -> None:
    """One document, indented on a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(value, ensure_ascii=False, indent=indent, default=str))


def print_json_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """One array with an object a row, written as it comes."""
    names = _unique(columns)
    click.echo("[", nl=False)
    for index, row in enumerate(rows):
        shown = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=_plain)
        click.echo((",\n " if index else "") + shown, nl=False)
    click.echo("]")


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Names, then a line a row, for spreadsheets: nothing is an empty cell, lists and objects are JSON."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(value) for value in row])


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns side by side; whatever the width, no cell is cut in a pipe, and no id is cut anywhere."""
    if sys.stdout.isatty():
        _print_rich(columns, rows)
        return
    left = iter(rows)
    measured = list(islice(left, _MEASURED))
    right = [_is_number(row[at] for row in measured) for at in range(len(columns))]
    texts = [[_cell(value) for value in row] for row in measured]
    widths = [max(len(cells[at]) for cells in ([*columns], *texts)) for at in range(len(columns))]
    for cells in _chain([*columns], texts, left):
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        )
        click.echo("  ".join(padded).rstrip())


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; what is None is left out."""
    shown = [(name, value) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {_cell(value)}")


def _chain(head: list[str], texts: list[list[str]], left: Iterable[Sequence[Any]]) -> Iterator[list[str]]:
    yield head
    yield from texts
    for row in left:
        yield [_cell(value) for value in row]


def _print_rich(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Long texts fold; what is short stays whole, and a screen that is too narrow for that breaks the lines itself."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    needed = 0
    for at, column in enumerate(columns):
        values = [row[at] for row in shown]
        width = min(_WHOLE, max(len(text) for text in (column, *map(_cell, values))))
        table.add_column(column, justify="right" if _is_number(values) else "left", overflow="fold", min_width=width)
        needed += width + _BETWEEN
    for row in shown:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console()
    console.width = max(console.width, needed)
    console.print(table)


def _is_number(values: Iterable[Any]) -> bool:
    kinds = {type(value) for value in values} - {type(None)}
    return bool(kinds) and kinds <= {int, float}


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value).replace("\n", "\\n")


def _csv_cell(value: Any) -> Any:
    match value:
        case None | str() | int() | float():
            return value
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, default=_plain)
        case _:
            return _plain(value)


def _plain(value: Any) -> Any:
    """What JSON has no word for, in one."""
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def _unique(columns: Sequence[str]) -> list[str]:
    """`n`, `n_1`: an object keeps both columns of one name."""
    seen: dict[str, int] = {}
    names = []
    for column in columns:
        count = seen.get(column, 0)
        seen[column] = count + 1
        names.append(f"{column}_{count}" if count else column)
    return names
