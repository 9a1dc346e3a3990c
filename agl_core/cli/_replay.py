"""`agl replay`: what a log remembers, made again, in one of three ways that are never blurred."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._options import as_json, log_level, log_path, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["replay"]

MODES = ("project", "score", "execute")
NEW = click.Path(path_type=Path)


@click.command()
@click.argument("targets", metavar="[RUN|ROLLOUT|HISTORY...]", nargs=-1)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    help="project: rows from events, no code of the agent; score: judges over what was said; execute: the agent's own"
    " code, on recorded answers. Default: execute, of a rollout; a run has to be told.",
)
@click.option("--at", type=click.IntRange(min=1), metavar="POSITION", help="As the log was then; default: as it is.")
@click.option(
    "--into", type=NEW, metavar="PATH", help="project: folder of the rows; execute, fork: the replay's own log."
)
@click.option("--adapter", metavar="NAME", help="project: this adapter, not those that were used.")
@click.option("--credit", metavar="NAME", help="project: this rule from rewards to calls.")
@click.option(
    "--dialect", "dialects", multiple=True, metavar="NAME",
    help="project: read spans by this dialect, then by the next; default: the core's, in their order.",
)  # fmt: skip
@click.option("--judge", "judges", multiple=True, metavar="NAME[:OPTIONS]", help="score: who judges.")
@click.option("--agent", metavar="MODULE:AGENT", help="execute, fork: this code, not the one that the log names.")
@click.option("--ignore", multiple=True, metavar="REGEX", help="execute: text that may differ between then and now.")
@click.option("--strict", is_flag=True, help="execute: not even ids and dates may differ.")
@click.option(
    "--tool",
    "tools",
    multiple=True,
    metavar="NAME=HOW",
    help="execute, fork: pure, recorded or live, whatever `@agl.tool` says.",
)
@click.option("--allow-network", is_flag=True, help="execute: let tools out of this machine.")
@click.option(
    "--step", "stepwise", is_flag=True, help="execute: one model call at a time, looked at before it goes on."
)
@click.option("--fork-at", type=click.IntRange(min=0), metavar="STEP", help="Go on live after so many model calls.")
@click.option("--forks", default=1, show_default=True, type=click.IntRange(min=1), help="With --fork-at: how many.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=URL",
    help="With --fork-at: who answers from there; an engine URL.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Run algorithms over recorded logs, exports or folders of them: nothing is carried out.",
)
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help="An option of adapter or judge; a fork's resource."
)
@log_path
@quiet
@as_json
@log_level
def replay(*, targets: Sequence[str], mode: str | None, fork_at: int | None, check: bool, **options: Any) -> None:
    """Make again what a log remembers: rows, scores, or the run itself.

    Only `score` writes to the log it reads: new facts, which name who gave them. `project` writes rows, and `execute`
    a log of its own. Exit code 1 when what is done now is not what was done then.
    """
    if not targets:
        raise click.UsageError("name a run or a rollout; or histories, with --check")
    if len(targets) > 1 and not check:
        raise click.UsageError("name one run or rollout; several are histories, with --check")
    _way(targets[0], mode, fork_at=fork_at, check=check)(
        target=targets[0], fork_at=fork_at, histories=[Path(target) for target in targets], **options
    )


def _way(target: str, mode: str | None, *, fork_at: int | None, check: bool) -> Callable[..., None]:
    """Which of them is meant; imported when it is."""
    if check:
        from agl_core.cli._replay_check import check as over_histories

        return over_histories
    if fork_at is not None:
        if mode not in {None, "execute"}:
            raise click.UsageError(f"--fork-at runs the agent's own code; --mode {mode} runs none")
        from agl_core.cli._replay_fork import fork

        return fork
    if mode is None and not target.startswith("ro-"):
        raise click.UsageError("say how, with --mode project, score or execute: they are not the same")
    match mode:
        case "project":
            from agl_core.cli._replay_project import project

            return project
        case "score":
            from agl_core.cli._replay_score import score

            return score
    from agl_core.cli._replay_execute import execute

    return execute
