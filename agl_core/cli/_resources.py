"""`agl resources`: versions of what agents are given, from where they came to where they go."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from agl_core.cli._logs import find, open_log
from agl_core.cli._options import as_json, at, log_level, log_path
from agl_core.cli._resources_meant import SPELT, best, meant
from agl_core.cli._resources_shown import scored, show
from agl_core.cli._tables import facts, print_json, print_table

__all__ = ["resources"]

_SHORT = 60


@click.group()
def resources() -> None:
    """Resources: versions of prompts and models, which is the best, and the way back."""


@resources.command("list")
@click.option("--run", metavar="RUN", help="Only those that this run published; the start of its id will do.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=0), help="So many, newest first; 0 for all."
)
@at
@log_path
@as_json
@log_level
def list_resources(*, run: str | None, limit: int, at: str | None, log_path: str | None, as_json: bool) -> None:
    """Versions of the log, newest first, with what each earned."""
    from agl_core.cli._resources_told import listed

    with open_log(log_path, at=at) as log:
        found, total = listed(log, run_id=find(log, "run", run) if run else None, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = ("resource", "run", "parent", "best", "reward", "of", "names", "why")
    print_table(
        columns,
        [
            (
                f"{one['resources_id']}@{one['version']}", one["run_id"], one["parent"], one["promoted"],
                *scored(one["earned"]), ", ".join(one["names"]),
                textwrap.shorten(one["why"], _SHORT, placeholder="..."),
            )
            for one in found
        ],
    )  # fmt: skip
    if total > len(found):
        click.echo(f"{len(found)} of {total}: --limit 0 shows all", err=True)


@resources.command("show")
@click.argument("given", metavar=SPELT)
@click.option(
    "--lineage",
    is_flag=True,
    help="Show what was tried and left, too, and what was rejected: its text, and the reason.",
)
@at
@log_path
@as_json
@log_level
def show_resources(*, given: str, lineage: bool, at: str | None, log_path: str | None, as_json: bool) -> None:
    """One version: its prompts whole, what it earned, and what made it.

    ID without a version is its promoted version, or its newest if none was promoted; RUN is what that run promoted. The
    start of an id will do.
    """
    from agl_core.cli._resources_told import told

    with open_log(log_path, at=at) as log:
        found = told(log, meant(log, given))
    if as_json:
        print_json(found)
    else:
        show(found, with_others=lineage)


@resources.command("best")
@click.argument("run", metavar="[RUN]", required=False)
@at
@log_path
@as_json
@log_level
def best_resources(*, run: str | None, at: str | None, log_path: str | None, as_json: bool) -> None:
    """The version that was promoted last, of a run or of all; an error when none was."""
    from agl_core.cli._resources_told import told

    with open_log(log_path, at=at) as log:
        found = told(log, best(log, run))
    if as_json:
        print_json(found)
    else:
        show(found)


@resources.command("diff")
@click.argument("first", metavar=SPELT)
@click.argument("second", metavar=f"[{SPELT}]", required=False)
@at
@log_path
@as_json
@log_level
def diff_resources(*, first: str, second: str | None, at: str | None, log_path: str | None, as_json: bool) -> None:
    """What changed between two versions, and what that earned; of one alone, since the version that all began with.

    Rewards are compared on the tasks that both were scored on. A version is named as `agl resources show` takes it.
    """
    from agl_core.cli._resources_diff import differences, show_compared, show_differences
    from agl_core.cli._resources_earned import compared, earned
    from agl_core.cli._resources_meant import named
    from agl_core.store import Queries

    with open_log(log_path, at=at) as log:
        after = meant(log, second or first)
        before = meant(log, first) if second else Queries(log).lineage(after)[-1]
        sides = [(one.resources_id, one.version) for one in (before, after)]
        scores = earned(log, sides)
    found: dict[str, Any] = {
        "before": named(before),
        "after": named(after),
        "resources": differences(before, after),
        "earned": compared(*(scores[side] for side in sides)) if before != after else [],
    }
    if as_json:
        print_json(found)
    else:
        show_differences(found)
        show_compared(found["earned"])


@resources.command("promote")
@click.argument("given", metavar=SPELT)
@click.option("--why", default="", help="What the log says of it.")
@log_path
@as_json
@log_level
def promote_resources(*, given: str, why: str, log_path: str | None, as_json: bool) -> None:
    """Declare a version the best: `agl resources best` shows it from here on."""
    from agl_core.cli._resources_promoted import promote

    _tell_best(promote(given, why=why, log_path=log_path), as_json=as_json)


@resources.command("rollback")
@click.argument("given", metavar=SPELT)
@click.option("--to", metavar="V", help="The version to go back to; default: the one that was the best before.")
@click.option("--why", default="", help="What the log says of it.")
@log_path
@as_json
@log_level
def roll_back_resources(*, given: str, to: str | None, why: str, log_path: str | None, as_json: bool) -> None:
    """Declare an earlier version the best anew; nothing is deleted.

    Of a RUN or an ID: the version that was promoted before; when none was, the one that all began with. Of ID@V: that
    version. What counts as the best already is not declared twice.
    """
    from agl_core.cli._resources_promoted import roll_back

    _tell_best(roll_back(given, to=to, why=why, log_path=log_path), as_json=as_json)


@resources.command("export")
@click.argument("given", metavar=SPELT)
@click.option("--to", "to", required=True, type=click.Path(path_type=Path), metavar="FILE|FOLDER", help="Where to.")
@click.option("--name", metavar="NAME", help="Which prompt, when there are several.")
@click.option("--policy", metavar="NAME[@V]", help="The weights of a policy instead; default: its newest version.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@at
@log_path
@as_json
@log_level
def export_resources(
    *,
    given: str,
    to: Path,
    name: str | None,
    policy: str | None,
    force: bool,
    at: str | None,
    log_path: str | None,
    as_json: bool,
) -> None:
    """Write a version to a file: .txt, .md or .j2 for a prompt as it stands, .json for all with lineage and evidence.

    With --policy, copy weights that the RUN kept into a folder that transformers and peft read, with a model card.
    """
    from agl_core.cli._resources_export import export

    found = export(given, to, name=name, policy=policy, force=force, at=at, log_path=log_path)
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found['what']} written to {found['path']}")
    for line in found["notes"]:
        click.echo(line, err=True)


def _tell_best(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    facts(
        [("best", found["best"]), ("before", found["before"]), ("run", found["run_id"]), ("why", found["why"] or None)]
    )
    if not found["is_new"]:
        click.echo("it counted as the best before: nothing was written", err=True)
