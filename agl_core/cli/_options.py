"""The options that mean the same on every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from agl_core.cli._failing import JSON

__all__ = ["as_json", "at", "dry_run", "limits", "log_level", "log_path", "quiet", "run_options"]

LEVELS = ("debug", "info", "warning", "error")
Decorated = TypeVar("Decorated", bound=Callable[..., Any] | click.Command)


def _remember_json(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's
    if value:
        ctx.meta[JSON] = True
    return value


def _set_level(_ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        from agl_core._setup import setup_logging

        setup_logging(value)


def as_json(command: Decorated) -> Decorated:
    """`--json`: one document on stdout, and errors as JSON on stderr."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_remember_json,
        help="Print one JSON document instead of text.",
    )(command)  # fmt: skip


def log_path(command: Decorated) -> Decorated:
    """`--log PATH`: which log."""
    return click.option(
        "--log", "log_path", metavar="PATH", help="The log; default: AGL_LOG, else .agl/log.db."
    )(command)  # fmt: skip


def at(command: Decorated) -> Decorated:
    """`--at POSITION`: the log as it was."""
    return click.option(
        "--at", metavar="POSITION", help="Of the log as it was when that was its last position; `agl log head` says it."
    )(command)  # fmt: skip


def log_level(command: Decorated) -> Decorated:
    """`--log-level`: how much the code says on stderr while it works."""
    return click.option(
        "--log-level", type=click.Choice(LEVELS, case_sensitive=False), expose_value=False, callback=_set_level,
        help="Say more, or less, on stderr.",
    )(command)  # fmt: skip


def quiet(command: Decorated) -> Decorated:
    """`--quiet`: no progress."""
    return click.option("--quiet", "-q", is_flag=True, help="Show no progress.")(command)


def dry_run(command: Decorated, *, otherwise: str = "") -> Decorated:
    """`--dry-run`, `--from-log PATH`: look at what is selected, and do nothing else; `otherwise` says what a log is for
    without."""  # noqa: D205, D209 - one sentence
    from_log = click.option(
        "--from-log", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="PATH",
        help=f"With --dry-run: look at the calls of this log instead.{otherwise}",
    )  # fmt: skip
    is_dry = click.option(
        "--dry-run", is_flag=True, help="Run one rollout, say which of its calls --select keeps, and leave nothing."
    )
    return is_dry(from_log(command))


def limits(command: Decorated) -> Decorated:
    """`--budget`, `--price`: what all model calls of a run may come to."""
    price = click.option(
        "--price", "prices", multiple=True, metavar="NAME=PROMPT/ANSWER",
        help="USD for a million tokens of a model's prompts, and of its answers: critic=0.15/0.60.",
    )  # fmt: skip
    budget = click.option(
        "--budget", multiple=True, metavar="WHAT=MOST",
        help="What all model calls may come to: calls=500, tokens=1000000 or usd=2.5; then the run ends, and can be"
        " resumed with more.",
    )  # fmt: skip
    return budget(price(command))


def run_options(command: Decorated) -> Decorated:
    """What every run is told: its models, how many runners, its seed, its limits, what becomes of what fails."""
    command = limits(command)
    for option in reversed(_RUN):
        command = option(command)
    return command


_RUN: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--model", "models", multiple=True, metavar="NAME=URL",
        help="A model: policy=transformers:/path, or grader=https://host/v1#model; more than once if needed.",
    ),
    click.option(
        "--role", "roles", multiple=True, metavar="NAME=ROLE",
        help="What a model's calls are: policy, judge or tool; only a policy's are trained on.",
    ),
    click.option(
        "--sampling", multiple=True, metavar="MODE.FIELD=VALUE",
        help="Sampling of train, val or test, whatever the agent asks for: val.temperature=0.",
    ),
    click.option(
        "--select", multiple=True, metavar="COLUMN=VALUE",
        help="Learn from these calls alone: agent=NAME or model=NAME; of one column any value will do.",
    ),
    click.option(
        "--judge", "judges", multiple=True, metavar="NAME[:OPTIONS]",
        help="Score rollouts as they end: exact_match, or numeric:expected=sum,tolerance=0.01; others with as=NAME.",
    ),
    click.option("--n-runners", default=8, show_default=True, type=click.IntRange(min=1), help="Rollouts at once."),
    click.option("--seed", default=0, show_default=True, help="Draws the same tasks, weights and samples again."),
    click.option("--deterministic", is_flag=True, help="One rollout at a time, and exactly the same numbers again."),
    click.option(
        "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Longest time for an attempt."
    ),
    click.option(
        "--max-attempts", default=3, show_default=True, type=click.IntRange(min=1),
        help="Tries at a rollout that something other than the policy made fail.",
    ),
    click.option(
        "--failures", multiple=True, metavar="END=WHAT",
        help="What becomes of rollouts that end so: train, zero, mask, retry or fail; END is an exit status, policy,"
        " environment, infrastructure, framework, or no_reward.",
    ),
    click.option(
        "--max-failed-fraction", type=click.FloatRange(min=0, max=1), metavar="SHARE",
        help="Stop when more of the rollouts that are asked for at once are masked; default: never.",
    ),
)  # fmt: skip
