"""What `train`, `run` and `resume` share: options read, the run driven, its end told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import warn
from agl_core.cli._tables import facts, print_json
from agl_core.cli._words import duration, number
from agl_core.errors import AglError, BadValue, BudgetSpent, RolloutFailed

if TYPE_CHECKING:
    from agl_core.cli.progress import Progress
    from agl_core.run import Kept
    from agl_core.trainer import RunSummary, Trainer

__all__ = [
    "build",
    "drive",
    "driving",
    "made",
    "named_failures",
    "named_models",
    "named_roles",
    "refuse_no_model",
    "sampling_by_mode",
    "summarise",
]


def named_models(given: Sequence[str]) -> dict[str, str]:
    """`NAME=URL`, one or more; a URL alone is the policy's."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, url = text.partition("=")
        if not equals or not name.isidentifier():
            name, url = "policy", text
        if ":" not in url:
            raise BadValue("--model", text, why="write it as NAME=URL, such as policy=http://127.0.0.1:8000/v1#model")
        if name in found:
            raise BadValue("--model", text, why=f"{name!r} is {found[name]} already: give each model a name of its own")
        found[name] = url
    return found


def refuse_no_model(agent: Any, models: Sequence[str]) -> None:
    """Raise for an agent that cannot be called without a model, where none is named."""
    # Else it is handed the last one of the log, whose server ended with its run.
    if not models and getattr(agent, "needs_llm", False):
        raise click.UsageError("the agent asks for a model: name it with --model policy=URL")


def named_roles(given: Sequence[str]) -> dict[str, Any]:
    """`NAME=ROLE`, any number."""
    return dict(_split(text, "--role", "NAME=ROLE") for text in given)


def named_failures(given: Sequence[str]) -> dict[str, str]:
    """`END=WHAT`, any number."""
    return dict(_split(text, "--failures", "END=WHAT, such as environment=zero") for text in given)


def sampling_by_mode(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`MODE.FIELD=VALUE`, any number; a value is JSON, or a word."""
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        place, value = _split(text, "--sampling", "MODE.FIELD=VALUE")
        mode, dot, name = place.partition(".")
        if not dot or not name:
            raise BadValue("--sampling", text, why="write it as MODE.FIELD=VALUE, such as val.temperature=0")
        try:
            found.setdefault(mode, {})[name] = json.loads(value)
        except ValueError:
            found[mode][name] = value
    return found


def _split(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadValue(option, text, why=f"write it as {form}")
    return name, value


def build(
    name: str, algorithm: Any, *, file: Mapping[str, Any], sets: Iterable[str], options: Mapping[str, Any]
) -> Any:
    """The algorithm with what it was told; an option that was not given is None."""
    from agl_core.cli._configs import config_class, configured

    given = {key: value for key, value in options.items() if value is not None}
    config = config_class(algorithm)
    values = configured(config, name, file=file, sets=sets, options=given)
    if config is None:
        return algorithm
    return algorithm(config(**values))


def drive(
    agent: Any,
    algorithm: Any,
    *,
    train: Sequence[Any] | None,
    val: Sequence[Any] | None = None,
    test: Sequence[Any] | None = None,
    select: Sequence[str],
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> RunSummary:
    """Run to the end, showing progress; print the summary and return it."""
    from agl_core.cli._budgets import tell_plan
    from agl_core.cli._logs import store_url
    from agl_core.cli._selecting import kept_of, named_selection, refuse_nothing
    from agl_core.cli.progress import Progress

    store, progress = store_url(log_path), Progress(quiet=quiet)
    trainer = made(algorithm, store=store, select=named_selection(select), on_records=progress.heard, **options)
    if trainer.told.budget and (plan := trainer.plan(train, val_dataset=val, test_dataset=test)) is not None:
        tell_plan(plan, trainer.told.budget, per_rollout=trainer.told.calls_per_rollout)
    with driving(progress, store):
        summary = trainer.fit(agent, train, val_dataset=val, test_dataset=test)
    kept = kept_of(summary.log, select, run_id=summary.run_id) if select else []
    summarise(summary, as_json=as_json, kept=kept[1:])
    refuse_nothing(kept)
    return summary


def made(
    algorithm: Any,
    *,
    models: Sequence[str],
    roles: Sequence[str],
    sampling: Sequence[str],
    judges: Sequence[str],
    timeout: float | None,
    max_attempts: int,
    failures: Sequence[str],
    budget: Sequence[str] = (),
    prices: Sequence[str] = (),
    reactions: Sequence[str] = (),
    **more: Any,
) -> Trainer:
    """The trainer that the options of a command mean."""
    from agl_core.cli._budgets import named_budget, named_prices
    from agl_core.cli._named_components import named_judges, named_reactions
    from agl_core.events import RolloutConfig
    from agl_core.trainer import Trainer

    return Trainer(
        algorithm=algorithm,
        models=named_models(models),
        roles=named_roles(roles),
        sampling=sampling_by_mode(sampling),
        judges=named_judges(judges),
        reactions=named_reactions(reactions),
        rollout_config=RolloutConfig(timeout_seconds=timeout, max_attempts=max_attempts),
        failures=named_failures(failures),
        budget=named_budget(budget),
        prices=named_prices(prices),
        **more,
    )


@contextmanager
def driving(progress: Progress, log: str) -> Iterator[None]:
    """While a run is driven: whatever stops it, say how to go on."""
    try:
        with progress:
            yield
    except AglError as error:
        if progress.run_id and not isinstance(error, RolloutFailed):  # it is recorded, and would stop the run again
            more = f" --budget {next(iter(error.limit))}=MORE" if isinstance(error, BudgetSpent) else ""
            error.add_note(f"go on with: agl resume {progress.run_id} --log {log}{more}")
        raise
    except KeyboardInterrupt:
        if progress.run_id:
            warn(f"go on with: agl resume {progress.run_id} --log {log}")
        raise


def summarise(summary: RunSummary, *, as_json: bool, kept: Sequence[Kept] = ()) -> None:
    """Say how a run ended, what its selectors kept, and what to look at next."""
    if as_json:
        selected = {"selected": {one.predicate: {"keeps": one.keeps, "of": one.of} for one in kept}} if kept else {}
        print_json({**asdict(summary), "seconds": round(summary.seconds, 3), **selected})
        return
    facts(
        [
            ("run", summary.run_id),
            ("status", summary.status),
            ("took", duration(summary.seconds)),
            ("log", summary.log),
            *((name, _result(value)) for name, value in summary.result.items()),
            *((one.predicate, f"{one.keeps} of {one.of} policy calls") for one in kept),
        ]
    )
    click.echo(f"\nsee it: agl runs show {summary.run_id} --log {summary.log}")


def _result(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_result(inner)}" for name, inner in value.items())
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
