"""`agl run`: an agent over tasks, scored; nothing is learned."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from agl_core.cli._datasets import TASKS
from agl_core.cli._options import as_json, dry_run, log_level, log_path, quiet, run_options

__all__ = ["run"]

PARTIAL = 3


@click.command()
@click.argument("agent", metavar="MODULE:AGENT")
@click.option(
    "--tasks",
    required=True,
    help="JSON, JSON Lines, CSV or Parquet, a pattern of such files, or hf://NAME.",
    **TASKS,
)
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(min=1), help="Times over all tasks.")
@click.option(
    "--no-train", is_flag=True,
    help="Collect as an algorithm would, to learn from later (agl train --from-log): --repeat samples of each task are"
    " one group, of mode train, at temperature 1 unless the agent or --sampling says otherwise.",
)  # fmt: skip
@run_options
@dry_run
@log_path
@quiet
@as_json
@log_level
def run(
    *,
    agent: str,
    tasks: str,
    repeat: int,
    no_train: bool,
    dry_run: bool,
    from_log: Path | None,
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run an agent over tasks and score it; nothing is learned.

    Exit code 3 when some rollouts failed, 1 when all did.
    """
    from agl_core.algorithm import Baseline, Collect
    from agl_core.cli._code import find_code
    from agl_core.cli._datasets import read_tasks
    from agl_core.cli._driving import drive, refuse_no_model
    from agl_core.cli._dry_run import look

    if dry_run or from_log:
        look(agent, tasks, is_dry=dry_run, from_log=from_log, as_json=as_json, **options)
        return
    code, given = find_code(agent), read_tasks(tasks)
    refuse_no_model(code, options["models"])
    algorithm = Collect(samples=repeat) if no_train else Baseline(n_epochs=repeat)
    summary = drive(code, algorithm, train=given, log_path=log_path, quiet=quiet, as_json=as_json, **options)
    failed, total = _failures(summary.log, summary.run_id)
    if failed:
        see = f"agl rollouts list --status failed --run {summary.run_id} --log {summary.log}"
        click.echo(f"{failed} of {total} rollouts failed: {see}", err=True)
        sys.exit(1 if failed == total else PARTIAL)


def _failures(path: str, run_id: str) -> tuple[int, int]:
    from agl_core.cli._logs import open_log

    sql = "select coalesce(sum(status <> 'succeeded'), 0), count(*) from rollouts where run_id = ? and hidden = 0"
    with open_log(path) as log:
        failed, total = log.rows(sql, (run_id,))[0]
    return failed, total
