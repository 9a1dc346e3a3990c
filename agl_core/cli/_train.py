"""`agl train`: an agent, tasks and an algorithm, whose hyper-parameters are options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._datasets import TASKS
from agl_core.cli._guest_options import Guested, guest_options, names_of
from agl_core.cli._options import as_json, dry_run, log_level, log_path, quiet, run_options

if TYPE_CHECKING:
    from agl_core.errors import AglError

__all__ = ["train"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Train(Guested):
    """A command that has, beside its own options, those of the algorithm it is given."""

    def sections(self, ctx: click.Context, args: Sequence[str]) -> Mapping[str, Sequence[click.Option]]:
        """Those of the algorithm."""
        from agl_core.cli._configs import config_class, config_options

        name = _named(args)
        config = None if name is None else config_class(_algorithm(name))
        return {f"Options of {name}": config_options(config, taken=names_of(self.params))} if config else {}


def _named(args: Sequence[str]) -> str | None:
    for at, word in enumerate(args):
        if word == "--":
            return None
        if word == "--algorithm":
            return args[at + 1] if at + 1 < len(args) else None
        if word.startswith("--algorithm="):
            return word.partition("=")[2]
    return None


def _algorithm(name: str) -> Any:
    """By registry name, or `module:name`."""
    from agl_core.cli._code import find_named
    from agl_core.plugins import Plugins

    return find_named(name, lambda known: Plugins.load().algorithm(known))


@click.command(cls=Train)
@click.argument("agent", metavar="[MODULE:AGENT]", required=False)
@click.option(
    "--algorithm",
    required=True,
    metavar="NAME",
    is_eager=True,
    help="A registered name, or module:name; with --help, its options are shown.",
)
@click.option("--train", "train_file", help="Tasks to learn from: JSON, JSON Lines, CSV, Parquet, hf://NAME.", **TASKS)
@click.option("--val", "val_file", help="Tasks to watch progress on.", **TASKS)
@click.option("--test", "test_file", help="Tasks that are sealed until the end.", **TASKS)
@click.option(
    "--split", "shares", metavar="TRAIN,VAL,TEST",
    help="Shares that --train is dealt out by, each task by what it is: 0.8,0.1,0.1.",
)  # fmt: skip
@click.option("--config", "config_file", type=FILE, help="Hyper-parameters, as TOML or JSON.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="One hyper-parameter, over the file; more than once if needed.",
)
@click.option(
    "--react", "reactions", multiple=True, metavar="NAME[:OPTIONS]",
    help="Follow the run, and decide by what it logs: promote_best, or stop_early:patience=5,min_delta=0.01.",
)  # fmt: skip
@click.option(
    "--preflight/--no-preflight",
    default=None,
    help="Look at the first rollout before the others begin, and stop a run that would learn nothing; default: where"
    " the algorithm says what it needs, unless AGL_PREFLIGHT is 0.",
)
@click.option(
    "--no-rollouts", is_flag=True, help="Hand out not one rollout: learn from --from-log alone, or not at all."
)
@click.option("--plan", is_flag=True, help="Say what the algorithm would do with the tasks and the budget, and stop.")
@run_options
@partial(dry_run, otherwise=" Else: learn from its rollouts, where the algorithm can.")
@log_path
@quiet
@as_json
@log_level
@click.pass_context
def train(
    ctx: click.Context,
    /,
    *,
    agent: str | None,
    algorithm: str,
    train_file: str | None,
    val_file: str | None,
    test_file: str | None,
    shares: str | None,
    config_file: Path | None,
    sets: Sequence[str],
    plan: bool,
    no_rollouts: bool,
    dry_run: bool,
    from_log: Path | None,
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Improve an agent with an algorithm.

    MODULE:AGENT is a function with @agl.rollout, or a LitAgent, in a module of this folder or an installed one; an
    algorithm that learns from a log of old rollouts (--from-log) wants none. An option of the algorithm goes over
    --set, and --set over --config.
    """
    from agl_core.cli._code import find_code
    from agl_core.cli._configs import config_class, read_config
    from agl_core.cli._datasets import read_splits
    from agl_core.cli._driving import build, drive
    from agl_core.cli._dry_run import look

    hyper = {option.name for option in guest_options(ctx)}
    told = {name: options.pop(name) for name in hyper if name in options}
    kind = _algorithm(algorithm)
    if from_log and not dry_run:
        if not hasattr(config_class(kind), "from_log"):
            raise _not_offline(algorithm, kind)
        told["from_log"], from_log = str(from_log), None
    if dry_run:
        look(*_needed(agent, train_file), is_dry=dry_run, from_log=from_log, as_json=as_json, **options)
        return
    file = read_config(config_file) if config_file else {}
    made = build(algorithm, kind, file=file, sets=sets, options=told)
    if getattr(made, "needs_tasks", True) and not no_rollouts:  # else the trainer says why
        agent, train_file = _needed(agent, train_file)
    splits = read_splits(train_file, val_file, test_file, shares=shares)
    options["no_rollouts"] = no_rollouts
    if plan:
        _plan(made, algorithm, splits, as_json=as_json, **options)
        return
    drive(
        find_code(agent) if agent else None, made, train=splits[0], val=splits[1], test=splits[2],
        log_path=log_path, quiet=quiet, as_json=as_json, **options,
    )  # fmt: skip


def _not_offline(name: str, kind: Any) -> AglError:
    from agl_core.algorithm import not_offline
    from agl_core.plugins import Plugins

    return not_offline(name, kind, Plugins.load().algorithms())


def _plan(algorithm: Any, name: str, splits: Sequence[Any], *, as_json: bool, **options: Any) -> None:
    """Say what it would do."""
    from agl_core.cli._budgets import show_plan
    from agl_core.cli._driving import made
    from agl_core.cli._selecting import named_selection

    trainer = made(algorithm, select=named_selection(options.pop("select")), **options)
    planned = trainer.plan(splits[0], val_dataset=splits[1], test_dataset=splits[2])
    show_plan(planned, trainer.told.budget, algorithm=name, per_rollout=trainer.told.calls_per_rollout, as_json=as_json)


def _needed(agent: str | None, tasks: str | None) -> tuple[str, str]:
    """Who is trained, and on what; raises for what was left out."""
    from agl_core.errors import NoTrainingData

    if agent is None:
        raise click.UsageError("Missing argument 'MODULE:AGENT'.")
    if tasks is None:
        raise NoTrainingData("no training tasks were given")
    return agent, tasks
