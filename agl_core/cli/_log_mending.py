"""`agl log verify`, `recover`, `compact`, `copy`: what is wrong with a log, and what can be done."""

from __future__ import annotations

import sys
from typing import Any

import click

from agl_core.cli._logs import open_log
from agl_core.cli._options import as_json, log_level, log_path
from agl_core.cli._tables import print_json, print_table

__all__ = ["progress", "register"]


def register(group: click.Group) -> None:
    """Put the commands into `agl log`."""
    for command in (verify,):
        group.add_command(command)


@click.command("verify")
@click.option("--deep", is_flag=True, help="Read every event and blob, and fold every table again.")
@log_path
@as_json
@log_level
def verify(*, deep: bool, log_path: str | None, as_json: bool) -> None:
    """Say what is not as it should be: the file, order, seals, references and ids.

    With --deep, every event is decoded, every blob hashed and every table folded again: minutes, for a large log.
    """
    from agl_core.log import verify as find_faults

    with open_log(log_path, projections=True) as log:
        found = [
            {"what": finding.what, "where": finding.where, "why": finding.why}
            for finding in find_faults(log, deep=deep, progress=progress("verified"))
        ]
        position = log.head()
    if as_json:
        print_json({"log": str(log.path), "events": position, "deep": deep, "ok": not found, "findings": found})
    elif found:
        print_table(("what", "where", "why"), [tuple(finding.values()) for finding in found])
    else:
        click.echo(f"{log.path} is sound: {position} events")
    if found:
        sys.exit(1)


def progress(done: str) -> Any:
    """A line that is written over, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _position, _head: None

    def say(position: int, head: int) -> None:
        click.echo(f"\r{position} of {head} {done}", nl=position == head, err=True)

    return say
