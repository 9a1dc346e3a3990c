"""`agl replay --mode project`: rows made again from events, compared with those that were recorded, or written."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._assigned import assigned
from agl_core.cli._counting import Counted, counting
from agl_core.cli._explaining_reasons import in_words
from agl_core.cli._failing import warn
from agl_core.cli._logs import find, find_either, open_log, position
from agl_core.cli._tables import print_json, print_table
from agl_core.errors import AglError, ExportEmpty, ExportRefused, NotReplayable

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.plugins import Plugins
    from agl_core.replay.projection import Projection
    from agl_core.replay.recipes import Recipe

__all__ = ["line", "project"]

_PARTLY = 3
_SUMMARY = "projection.json"
_NO_BATCH = "rows"
"""Name of a file of rows that are of no batch."""
_MARKS = {True: "same", False: "DIFFERS", None: "-"}
_NO_USE = {
    "judges": "--judge", "agent": "--agent", "ignore": "--ignore", "strict": "--strict", "tools": "--tool",
    "allow_network": "--allow-network", "stepwise": "--step", "models": "--model",
}  # fmt: skip
"""Options of the other modes."""


def project(
    *,
    target: str,
    at: int | None,
    into: Path | None,
    adapter: str | None,
    credit: str | None,
    sets: Sequence[str],
    dialects: Sequence[str],
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **others: Any,
) -> None:
    """Make the rows of every batch again; by other means where others are named. The log is read only."""
    _refuse_others(others)
    if into is not None:
        _refuse_place(into)
    with open_log(log_path) as log:
        kind, id_ = _meant(log, target)
        means: dict[str, Any] = {"adapter": adapter, "credit": credit, "told": assigned("--set", sets)}
        recipes = _recipes(log, kind, id_, at=at, means=means | {"dialects": dialects})
        say = counting("batches made again") if not quiet else _nothing
        batches = _written(log, recipes, into, say) if into is not None else _checked(log, recipes, say)
    _tell({"kind": kind, "id": id_, "batches": batches}, into=into, as_json=as_json)
    _exit(batches)


def line(row: Any) -> dict[str, Any]:
    """A row with all its fields; one of a plugin that is no dataclass, under a name of its own."""
    import msgspec

    from agl_core.export.rows._plain import plain

    return plain(row) if is_dataclass(row) else {"row": msgspec.to_builtins(row)}


def _refuse_others(others: Mapping[str, Any]) -> None:
    said = [option for name, option in _NO_USE.items() if others.get(name)]
    if said:
        raise click.UsageError(f"--mode project has no use for {', '.join(said)}: no code of an agent runs")


def _refuse_place(into: Path) -> None:
    """What is known to fail fails before the log is read."""
    if into.exists() and not (into.is_dir() and not any(into.iterdir())):
        raise ExportRefused(str(into), why="something is there already", cure="Name a folder that is not there")


def _meant(log: SqliteLog, target: str) -> tuple[str, str]:
    if target.lower().startswith("ba-"):
        return "batch", find(log, "batch", target)
    id_ = find_either(log, target)
    return ("rollout" if id_.startswith("ro-") else "run"), id_


def _recipes(
    log: SqliteLog, kind: str, id_: str, *, at: int | None, means: Mapping[str, Any]
) -> list[tuple[str, Recipe]]:
    """By the names of their batches, those that were formed; of what is in none, one of all its rollouts."""
    from agl_core.replay.recipes import otherwise, recorded

    if at is not None:
        position(log, str(at), "--at")
    found = recorded(log, **{f"{kind}_id": id_}, until=at)
    if not found and means["adapter"] is None and means["credit"] is None:
        then = f" by position {at}" if at is not None else ""
        cure = "Say what rows are to be made of it: `--adapter NAME`; `agl plugins` lists those there are"
        raise NotReplayable(id_, why=f"no batch was formed of it{then}", cure=cure)
    found = found or [_unformed(log, kind, id_, at)]
    is_other = any(means.values()) or at is not None
    return [(one.batch_id or _NO_BATCH, otherwise(log, one, **means, as_of=at) if is_other else one) for one in found]


def _unformed(log: SqliteLog, kind: str, id_: str, at: int | None) -> Recipe:
    """All that a run trained on, or could have; a rollout with those that tried its task beside it."""
    from agl_core.export.rows import choose
    from agl_core.replay.recipes import of_rollouts, supposed

    if kind == "rollout":
        return supposed(log, id_)
    chosen = choose(log, [id_])
    rollouts = [rollout_id for task in chosen.tasks for rollout_id, _ in task]
    others = ", ".join(f"{count} of {split}" for split, count in chosen.left_out.items())
    if not rollouts:
        cure = "Name a rollout, or `agl export` with --split"
        raise NotReplayable(
            id_, why=f"none of its rollouts is of the training split ({others or 'it has none'})", cure=cure
        )
    if others:
        warn(f"rollouts that no batch may be made of are left out: {others}")
    return of_rollouts(log, rollouts, run_id=id_, as_of=at or log.head())


def _checked(log: SqliteLog, recipes: Sequence[tuple[str, Recipe]], say: Counted) -> list[dict[str, Any]]:
    """Each made again and compared; one of several that cannot be says why."""
    from agl_core.plugins import Plugins
    from agl_core.replay.projection import Projection

    plugins = Plugins.load()
    found = []
    for number, (name, recipe) in enumerate(recipes, start=1):
        try:
            made = Projection(log, plugins, recipe).through()
            found.append(_batch(log, plugins, name, made))
        except AglError as error:
            if len(recipes) == 1:
                raise
            found.append({"batch_id": name, "error": {"code": error.code, "message": str(error)}})
        say(number, len(recipes))
    return found


def _written(log: SqliteLog, recipes: Sequence[tuple[str, Recipe]], into: Path, say: Counted) -> list[dict[str, Any]]:
    """All of them into a folder, a file each, or none."""
    from agl_core.export.rows import new_folder, write_records
    from agl_core.plugins import Plugins
    from agl_core.replay.projection import Projection

    plugins = Plugins.load()
    found = []
    with new_folder(into) as folder:
        for number, (name, recipe) in enumerate(recipes, start=1):
            path = folder / f"{name}.jsonl"
            try:
                made = Projection(log, plugins, recipe)
                write_records(map(line, made), path)
            except ExportEmpty:
                path.touch()
            except AglError as error:
                if len(recipes) > 1:
                    error.add_note(f"it is in batch {name}: nothing was written; name other batches one by one")
                raise
            found.append({**_batch(log, plugins, name, made), "file": path.name})
            say(number, len(recipes))
        (folder / _SUMMARY).write_text(json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    return found


def _batch(log: SqliteLog, plugins: Plugins, name: str, made: Projection) -> dict[str, Any]:
    from agl_core.replay.differing import differing
    from agl_core.replay.projection import spoken

    recipe = made.recipe
    return {
        "batch_id": name if name != _NO_BATCH else None,
        "run_id": recipe.run_id,
        "adapter": recipe.adapter,
        "options": recipe.options,
        "by": spoken(made.adapter),
        "as_of": recipe.as_of,
        "select": recipe.select,
        "failures": recipe.failures,
        "dialects": recipe.dialects,
        **made.told(),
        "recorded": recipe.digest,
        "same": None if recipe.digest is None else recipe.digest == made.digest,
        "why": differing(log, plugins, made),
    }


def _tell(told: Mapping[str, Any], *, into: Path | None, as_json: bool) -> None:
    batches = told["batches"]
    made = [one for one in batches if "error" not in one]
    if as_json:
        print_json({**told, "into": str(into) if into is not None else None})
    else:
        columns = ("batch", "by", "rollouts", "captured", "kept", "rows", "digest", "as recorded")
        print_table(
            columns,
            [
                (
                    one["batch_id"] or "none", one["by"], *(one[name] for name in columns[2:6]), one["digest"][:15],
                    _MARKS[one["same"]],
                )
                for one in made
            ],
        )  # fmt: skip
        for reason, count in _dropped(made):
            click.echo(f"{count} call(s) dropped: {reason}", err=True)
        if into is not None:
            click.echo(f"{sum(one['rows'] for one in made)} rows written to {into}", err=True)
    for one in batches:
        if "error" in one:
            warn(f"{one['batch_id']} cannot be made again: {one['error']['message']}")
        elif one["same"] is False:
            warn(f"{one['batch_id']} comes out other than it was recorded: {'; '.join(one['why'])}")


def _dropped(made: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Over all batches, the most frequent reason first."""
    counts: dict[str, int] = {}
    for one in made:
        for reason, count in one["dropped"].items():
            counts[reason] = counts.get(reason, 0) + count
    worded = [(f"{reason}, {words}" if (words := in_words(reason)) else reason, n) for reason, n in counts.items()]
    return sorted(worded, key=lambda item: (-item[1], item[0]))


def _exit(batches: Sequence[Mapping[str, Any]]) -> None:
    failed = [one for one in batches if "error" in one]
    if len(failed) == len(batches) or any(one.get("same") is False for one in batches):
        sys.exit(1)
    if failed:
        sys.exit(_PARTLY)


def _nothing(_done: int, _of: int | None, /) -> None:
    """Say nothing."""
