"""`agl resume`: a run goes on where its log ends."""

from __future__ import annotations

from collections.abc import Sequence

import click

from agl_core.cli._options import as_json, limits, log_level, log_path, quiet

__all__ = ["resume"]


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--n-runners", type=click.IntRange(min=1), help="Rollouts at once; default: as many as before.")
@click.option(
    "--max-failed-fraction",
    type=click.FloatRange(min=0, max=1),
    metavar="SHARE",
    help="Stop when more of the rollouts that are asked for at once are masked; default: as before.",
)
@limits
@log_path
@quiet
@as_json
@log_level
def resume(
    *,
    run_id: str,
    n_runners: int | None,
    max_failed_fraction: float | None,
    budget: Sequence[str],
    prices: Sequence[str],
    log_path: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Go on with a run where its log ends.

    What is recorded is not done again: finished rollouts are kept, and training goes on from the last checkpoint.
    Without --budget, that with which it went on last holds. RUN may be the start of an id.
    """
    from agl_core.cli._budgets import named_budget, named_prices
    from agl_core.cli._driving import driving, summarise
    from agl_core.cli._logs import find, open_log, there
    from agl_core.cli.progress import Progress
    from agl_core.trainer import resume as go_on

    with open_log(log_path) as log:
        run_id, path = find(log, "run", run_id), str(there(log_path))
    progress = Progress(quiet=quiet)
    with driving(progress, path):
        summary = go_on(
            run_id,
            log=path,
            on_records=progress.heard,
            n_runners=n_runners,
            max_failed_fraction=max_failed_fraction,
            budget=named_budget(budget),
            prices=named_prices(prices),
        )
    summarise(summary, as_json=as_json)
