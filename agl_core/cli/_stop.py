"""`agl stop`: a run is asked to come to its end in good order, whatever process it is in."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from agl_core.cli._options import as_json, log_level, log_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agl_core.log import SqliteLog, View
    from agl_core.record import Draft

__all__ = ["stop"]

_ACTOR = "agl stop"
_ASKED = "select 1 from events where type = 'run.stop_asked' and stream = ?"


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--why", default="somebody asked", show_default=True, help="What the log says of it.")
@log_path
@as_json
@log_level
def stop(*, run_id: str, why: str, log_path: str | None, as_json: bool) -> None:
    """Ask a run to come to its end in good order.

    It obeys at the head of its next round, in whatever process it is: the rollouts under way end, what was learnt
    stays, and the run finishes. A run that no process drives obeys when it is resumed. RUN may be the start of an id;
    a run that was asked is not asked again.
    """
    from agl_core.cli._logs import busy_is_said, find, there
    from agl_core.cli._stories import is_driven, stop_asked
    from agl_core.cli._tables import facts, print_json
    from agl_core.plugins import Plugins

    path = there(log_path)
    with busy_is_said(path), Plugins.load().open_log(str(path)) as log:
        run_id = find(log, "run", run_id)
        is_new = _ask(log, run_id, why=why)
        asked, is_lived = stop_asked(log, run_id), is_driven(log, run_id)
    told = {"run_id": run_id, **(asdict(asked) if asked else {}), "is_new": is_new, "is_driven": is_lived}
    if as_json:
        print_json(told)
        return
    facts(
        [
            ("run", run_id),
            ("asked", "now" if is_new else "before"),
            ("by", told.get("by") or None),
            ("why", told.get("why")),
        ]
    )
    obeys = "at the head of its next round" if is_lived else f"when it is resumed: `agl resume {run_id}`"
    click.echo(f"it ends {obeys}", err=True)


def _ask(log: SqliteLog, run_id: str, *, why: str) -> bool:
    """Whether the run had not been asked before; raises `RunIsOver` for one that can obey no more."""
    from agl_core.cli._who import person
    from agl_core.errors import RunIsOver
    from agl_core.events import RunStopAsked
    from agl_core.record import Draft

    event = RunStopAsked(run_id=run_id, why=why, by=person())
    draft = Draft(
        stream=f"run/{run_id}", event=event, key=f"{run_id}/run.stop_asked", correlation_id=run_id, actor=_ACTOR
    )

    def asked(view: View) -> Sequence[Draft]:
        ((status,),) = view.rows("select status from runs where run_id = ?", (run_id,))
        if status != "running":
            raise RunIsOver(run_id, status=status)
        return [] if view.rows(_ASKED, (draft.stream,)) else [draft]

    return bool(log.transact(asked))
