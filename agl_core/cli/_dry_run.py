"""`--dry-run`: what is selected, of a log or of one rollout that nothing is left of; nothing else is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._code import find_code
from agl_core.cli._failing import warn
from agl_core.cli._selecting import kept_of, named_selection, refuse_nothing
from agl_core.cli._tables import print_json, print_table

if TYPE_CHECKING:
    from agl_core.run import Kept

__all__ = ["look"]

_ENDED = "select exit_status, error from attempts where status <> 'succeeded' order by sequence desc limit 1"


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
    from agl_core.cli._driving import made, refuse_no_model

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
