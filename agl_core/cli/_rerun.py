"""`agl rollouts rerun`: the same task, on the same resources, live once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from agl_core.cli._options import as_json, log_level, log_path, quiet

__all__ = ["rerun"]


@click.command()
@click.argument("rollout_id", metavar="ROLLOUT")
@click.option("-n", "--times", default=1, show_default=True, type=click.IntRange(min=1), help="How often.")
@click.option("--agent", metavar="MODULE:AGENT", help="This code, not the one that the log names.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=URL",
    help="Who answers for a model of the rollout now; default: as then.",
)
@click.option("--seed", type=int, help="Of the sampling; default: that of its run.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The new log; default: in the folder replays/ beside the log that is read.",
)
@log_path
@quiet
@as_json
@log_level
def rerun(
    *,
    rollout_id: str,
    times: int,
    agent: str | None,
    models: Sequence[str],
    seed: int | None,
    into: Path | None,
    log_path: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Do a rollout again: the same task, on the same resources, live.

    What comes of it are new rollouts, in a log of their own: the log that is read is not written to. Exit code 3 when
    some of them failed, 1 when all did.
    """
    from agl_core.cli._again import chosen, drive_again, own_log, tell, warn_of_changes
    from agl_core.cli._driving import named_models
    from agl_core.cli._logs import find, open_log
    from agl_core.ids import new_id
    from agl_core.replay import Again, AgainConfig, original

    given = named_models(models)
    with open_log(log_path) as log:
        found = original(log, find(log, "rollout", rollout_id))
    code = chosen(agent, found)
    run_id = new_id("run")
    config = AgainConfig(source=found.source, rollout_id=found.rollout_id, times=times, others=tuple(given))
    warn_of_changes(found, given)
    algorithm, place = Again(config, found=found), own_log(found, into, run_id)
    drive_again(found, algorithm, code, run_id=run_id, into=place, models=given, times=times, seed=seed, quiet=quiet)
    tell(found, place, models=given, as_json=as_json)
