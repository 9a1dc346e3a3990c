"""`agl log`: ask the log, check it, fold it again."""

from __future__ import annotations

import click

from agl_core.cli import _log_files as files
from agl_core.cli import _log_mending as mending
from agl_core.cli._counting import counting
from agl_core.cli._log_diff import diff
from agl_core.cli._logs import busy_is_said, open_log, there, where
from agl_core.cli._options import as_json, at, log_level, log_path
from agl_core.cli._tables import facts, print_json
from agl_core.cli._words import here, iso, size

__all__ = ["log"]


@click.group()
def log() -> None:
    """The log: ask it, check it, fold it again."""


@log.command("info")
@at
@log_path
@as_json
@log_level
def info(*, at: str | None, log_path: str | None, as_json: bool) -> None:
    """Where the log lies, and how much is in it."""
    from agl_core.log import digest

    path, _ = where(log_path)
    with open_log(log_path, at=at) as log:
        events, first, last = log.rows("select count(*), min(recorded_at), max(recorded_at) from events")[0]
        found = {
            "log": str(path),
            "head": log.head(),
            "seal": digest(log),
            "events": events,
            "runs": log.rows("select count(*) from runs")[0][0],
            "rollouts": log.rows("select count(*) from rollouts")[0][0],
            "blobs": log.rows("select count(*) from blobs")[0][0],
            "bytes": sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.is_file()),
            "first_at": iso(first),
            "last_at": iso(last),
        }
    if as_json:
        print_json(found)
    else:
        shown = {
            **found,
            "bytes": size(found["bytes"]),
            "first_at": here(found["first_at"]),
            "last_at": here(found["last_at"]),
        }
        facts((name.removesuffix("_at"), value) for name, value in shown.items())


@log.command("head")
@log_path
@as_json
@log_level
def head(*, log_path: str | None, as_json: bool) -> None:
    """The position of the last event; 0 when there is none."""
    with open_log(log_path) as log:
        position = log.head()
    if as_json:
        print_json({"head": position})
    else:
        click.echo(position)


@log.command("rebuild")
@log_path
@as_json
@log_level
def rebuild(*, log_path: str | None, as_json: bool) -> None:
    """Bring the log to this release, drop its tables, and fold them from its events again."""
    from agl_core.log import rebuild as fold_again
    from agl_core.projections import CORE

    path = there(log_path)
    with busy_is_said(path):
        count = fold_again(path, CORE, progress=counting("folded"))
    tables = sorted(table for projection in CORE for table in projection.tables)
    if as_json:
        print_json({"log": str(path), "events": count, "tables": tables})
    else:
        click.echo(f"{len(tables)} tables folded from {count} events")


log.add_command(diff)
mending.register(log)
files.register(log)
