"""`agl replay --check`: recorded runs, gone through again by the algorithms of today. Nothing is carried out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import report
from agl_core.cli._logs import busy_is_said
from agl_core.cli._tables import print_json
from agl_core.errors import AglError, BadValue

if TYPE_CHECKING:
    from agl_core.replay.checking import Checked

__all__ = ["check"]

_SUFFIXES = (".db", ".duckdb", ".jsonl", ".jsonl.gz", ".parquet")
_MARKS = {"same": "same", "goes_on": "goes on", "diverged": "DIVERGED"}


def check(*, histories: Sequence[Path], as_json: bool, **_others: Any) -> None:
    """Go through each; exit 1 when one diverges, or cannot be gone through."""
    found: list[dict[str, Any]] = []
    for path in _files(histories):
        try:
            for checked in _checked(path):
                found.append({"history": str(path), **checked.to_json()})
                if not as_json:
                    _tell(path, checked)
        except AglError as error:
            found.append({"history": str(path), "outcome": "unread", "error": {"code": error.code, "why": str(error)}})
            if not as_json:
                click.echo(f"{'unread':<10}{path}")
                report(error, as_json=False)
    if as_json:
        print_json({"histories": found})
    sys.exit(any(one["outcome"] in {"diverged", "unread"} for one in found))


def _files(given: Sequence[Path]) -> Iterator[Path]:
    """The histories that are named, and those in folders that are."""
    for path in given:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if file.name.endswith(_SUFFIXES) and file.is_file())
        if not inside:
            raise BadValue("history", str(path), why=f"there is none in that folder ({', '.join(_SUFFIXES)})")
        yield from inside


def _checked(path: Path) -> Iterator[Checked]:
    from agl_core.trainer import check_history

    with busy_is_said(path):
        yield from check_history(path)


def _tell(path: Path, checked: Checked) -> None:
    wrote = f"{checked.algorithm} {checked.version or ''}".rstrip()
    more = [f"{checked.movements} movement(s) of {wrote}"]
    if checked.unlogged:
        more.append(f"{checked.unlogged} metric(s) that it did not log")
    if checked.goes_on_at is not None:
        at = f" ({checked.where})" if checked.where else ""
        more.append(f"goes on at {checked.goes_on_at}{at}")
    click.echo(f"{_MARKS[checked.outcome]:<10}{path}  {checked.run_id}  {', '.join(more)}")
    if checked.error is not None:
        report(checked.error, as_json=False)
        for part in checked.error.difference:
            sides = (
                f"{side}: {part[side]!r}" if side in part else f"{side}: nothing" for side in ("recorded", "asked")
            )
            click.echo(f"  {part['at'] or 'there'}: {', '.join(sides)}", err=True)
