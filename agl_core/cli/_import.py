"""`agl import`: what others wrote, into a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from agl_core.cli._counting import counting
from agl_core.cli._logs import store_url
from agl_core.cli._options import as_json, log_level, log_path
from agl_core.cli._tables import print_json

if TYPE_CHECKING:
    from agl_core.importing import Imported

__all__ = ["import_"]

FORMATS = ("atif", "jsonl", "otlp", "agl-v0.3")
"""`agl_core.importing.FORMATS`, known without importing it; a test holds them equal."""
_FAILED, _PARTLY = 1, 3
_SHOWN = 20


@click.command("import")
@click.argument("format", type=click.Choice(FORMATS))
@click.argument("source")
@click.option("--name", metavar="NAME", help="What the run is called; default: as the file, or the server.")
@log_path
@as_json
@log_level
def import_(*, format: str, source: str, name: str | None, log_path: str | None, as_json: bool) -> None:
    """Import what others wrote: trajectories, chats, traces, a store.

    \b
    atif      ATIF 1.0 to 1.8: a trajectory.json, or a folder of them
    jsonl     chats in JSON lines, as OpenAI's fine-tuning has them: SFT and preferences
    otlp      OpenTelemetry's file exporter: JSON lines, or protobuf with lengths
    agl-v0.3  the store of Agent Lightning v0.3, by its address: http://host:4747

    The rollouts are in a run of their own, in the log, which is made where there is none. What is there already is not
    written again, so an import that broke off is done again. Exit code 3: some of it was refused, and the rest is in; 1
    when nothing is.
    """  # noqa: D301 - click's mark for lines that stay as they are
    from agl_core._opening import open_log
    from agl_core.importing import check, import_rows

    check(format, source)  # before there is a log: a path that was mistyped makes none
    with open_log(store_url(log_path)) as log:
        came = import_rows(log, format, source, name=name, progress=counting("read"))
        path = str(log.path)
    _say(came, path, as_json=as_json)
    if _is_nothing(came):
        sys.exit(_FAILED)
    if came.refused:
        sys.exit(_PARTLY)


def _is_nothing(came: Imported) -> bool:
    """Whether there is no run of it."""
    return not came.facts and not came.known


def _say(came: Imported, path: str, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "log": path,
                "run_id": None if _is_nothing(came) else came.run_id,
                "rollouts": came.rollouts,
                "known": came.known,
                "facts": came.facts,
                "refused": came.refused,
                "reasons": [{"where": one.where, "code": one.code, "why": one.why} for one in came.reasons],
            }
        )
        return
    if _is_nothing(came):
        click.echo(
            f"nothing of it is in {path}: {'it holds nothing' if not came.refused else 'all was refused'}", err=True
        )
    else:
        click.echo(f"{came.rollouts} rollouts imported into {came.run_id}, {came.known} known before: {path}")
    for one in came.reasons[:_SHOWN]:
        click.echo(f"{click.style(f'refused[{one.code}]:', fg='yellow', bold=True)} {one.why}", err=True)
    if came.refused > _SHOWN:
        click.echo(f"{came.refused - _SHOWN} more were refused; --json tells why", err=True)
