"""`agl diff`: two of a kind beside each other: runs, rollouts, batches, resources, or rows in files."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import report
from agl_core.cli._options import as_json, at, log_level, log_path
from agl_core.cli._tables import print_json
from agl_core.errors import AglError

if TYPE_CHECKING:
    from agl_core.cli._diff_sides import Side

__all__ = ["diff"]

_DIFFERENT, _TROUBLE = 1, 2


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@log_path
@click.option("--log-b", "log_b", metavar="PATH", help="The log that B is in; default: that of A.")
@at
@click.option("--at-b", "at_b", metavar="POSITION", help="The same of B's, or `now`; default: that of A.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(min=0),
    help="So many tasks and differences of each kind; 0 for all, and --json has all.",
)  # fmt: skip
@as_json
@log_level
@click.pass_context
def diff(
    ctx: click.Context,
    *,
    first: str,
    second: str | None,
    log_path: str | None,
    log_b: str | None,
    at: str | None,
    at_b: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Compare two runs, rollouts, batches, resources, or files of rows.

    A and B are ids, or how they begin, and what an id begins with says what it is: run-... (task by task, with paired
    statistics), ro-... (messages, tool calls and rewards), ba-... (rows), rs-... (resources, as `agl resources diff`).
    LOG#ID is one of another log. Files and folders of rows, as `agl replay --mode project --into` writes them, are
    compared too. A alone may be the log of a replay: it is compared with the log it was replayed from.

    Exit code 0: the same, 1: different, 2: they cannot be compared. Runs are the same when the same came of them on the
    same tasks, whatever they were told.
    """
    from agl_core.cli._diff_sides import Place, sides

    try:
        with ExitStack() as closing:
            logs = (Place(log=log_path, at=at), Place(log=log_b or log_path, at=at_b or at))
            a, b = sides(first, second, logs=logs, closing=closing)
            found = _compared(a, b)
    except AglError as error:
        # Here 1 means different: what could not be compared must not look so.
        report(error, as_json=as_json)
        ctx.exit(_TROUBLE)
    if as_json:
        print_json(found)
    else:
        from agl_core.cli._diff_shown import show

        show(found, limit=limit)
    if not found["same"]:
        ctx.exit(_DIFFERENT)


def _compared(a: Side, b: Side) -> dict[str, Any]:
    told = {"kind": a.kind, "a": str(a), "b": str(b)}
    match a.kind:
        case "rows":
            from agl_core.cli._diff_rows import compared_files

            return {**told, **compared_files(a.rows, b.rows)}
        case "run":
            from agl_core.cli._diff_runs import compared_runs

            return {**told, **compared_runs(a.of, b.of)}
        case "batch":
            from agl_core.cli._diff_batches import compared_batches

            return {**told, **compared_batches(a.of, b.of)}
        case "resource":
            from agl_core.cli._diff_resources import compared_resources

            return {**told, **compared_resources(a.of, b.of)}
        case "replay":
            from agl_core.cli._diff_rollouts import compared_replay

            return {**told, **compared_replay(a.of, b.of)}
    from agl_core.cli._diff_rollouts import compared_rollouts

    return {**told, **compared_rollouts(a.of, b.of)}
