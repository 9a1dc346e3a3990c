"""`--select`: which calls are learnt from, told before and after a run; `--dry-run` spends one rollout to know it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import warn
from agl_core.cli._tables import print_json, print_table
from agl_core.errors import BadValue, SelectsNothing

if TYPE_CHECKING:
    from agl_core.run import Kept

__all__ = ["kept_of", "look", "named_selection", "refuse_nothing"]

_COUNTED = """
select c.agent, c.model, count(*)
from calls c join rollouts r using (rollout_id)
where c.role = 'policy' and r.hidden = 0 and (? is null or r.run_id = ?)
group by c.agent, c.model
"""
_ENDED = "select exit_status, error from attempts where status <> 'succeeded' order by sequence desc limit 1"


def named_selection(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`COLUMN=VALUE`, any number; values of one column are alternatives."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        column, equals, value = text.partition("=")
        if not equals or not column:
            raise BadValue("--select", text, why="write it as agent=NAME, or model=NAME")
        found[column] = (*found.get(column, ()), value)
    return found


def kept_of(log_path: str, select: Sequence[str], *, run_id: str | None = None) -> list[Kept]:
    """The policy calls of a log, or of a run of it: all that there are, then what each selector keeps."""
    from agl_core.cli._logs import open_log
    from agl_core.run import Selection

    selection = Selection.of(named_selection(select))
    with open_log(log_path) as log:
        policy = {(agent, model): count for agent, model, count in log.rows(_COUNTED, (run_id, run_id))}
    return [*Selection().counted(policy), *(selection.counted(policy) if selection else ())]


def look(
    agent: str,
    tasks: str,
    *,
    select: Sequence[str],
    is_dry: bool,
    from_log: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say what each selector keeps, of a log or of one rollout that nothing is left of; raises `SelectsNothing`."""
    from agl_core.algorithm import Baseline
    from agl_core.cli._datasets import read_tasks
    from agl_core.cli._driving import find_code, made, refuse_no_model

    if not is_dry:
        raise click.UsageError("--from-log says what to look at: it goes with --dry-run")
    if from_log is not None:
        _tell(kept_of(str(from_log), select), of=str(from_log), as_json=as_json)
        return
    code, given = find_code(agent), read_tasks(tasks)[:1]
    refuse_no_model(code, options["models"])
    with TemporaryDirectory(prefix="agl-dry-run-") as folder:
        path = str(Path(folder) / "log.db")
        trainer = made(Baseline(), store=path, select=named_selection(select), **options)
        trainer.fit(code, given)
        _warn_of_failure(path)
        _tell(kept_of(path, select), of="one rollout", as_json=as_json)


def _warn_of_failure(path: str) -> None:
    from agl_core.cli._logs import open_log

    with open_log(path) as log:
        for exit_status, error in log.rows(_ENDED):
            warn(f"the rollout ended as {exit_status}{': ' if error else ''}{error or ''}")


def _tell(kept: Sequence[Kept], *, of: str, as_json: bool) -> None:
    if as_json:
        selectors = [{"select": one.predicate, "keeps": one.keeps, "of": one.of, "agents": one.agents} for one in kept]
        print_json({"of": of, "selectors": selectors})
    else:
        print_table(
            ("select", "keeps", "of", "agents"),
            [(one.predicate, one.keeps, one.of, ", ".join(one.told) or None) for one in kept],
        )
        click.echo(f"\npolicy calls of {of}; nothing was learnt, and nothing recorded", err=True)
    refuse_nothing(kept)


def refuse_nothing(kept: Sequence[Kept]) -> None:
    """Raise `SelectsNothing` for the first selector that keeps no call; the first of `kept` are all that there are."""
    for one in kept:
        if not one.keeps:
            raise SelectsNothing(one.predicate, of=one.of, agents=kept[0].told)
