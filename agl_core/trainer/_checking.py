"""Recorded runs, gone through again by the code of today: found by the names that their logs have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agl_core.errors import NotReplayable
from agl_core.events import RunStarted
from agl_core.plugins import Plugins
from agl_core.replay.checking import Checked, check
from agl_core.replay.histories import History, opened
from agl_core.trainer._components import recorded_algorithm
from agl_core.trainer._reactions import recorded_reactions

__all__ = ["check_history"]


def check_history(
    path: str | Path, *, run_id: str | None = None, algorithm: Any = None, plugins: Plugins | None = None
) -> list[Checked]:
    """Each run of a history, or the one that is named, with its algorithm as it is today, or with `algorithm`.

    A history is a log, or an export of one, gzipped or not. The agent is not looked for, and nothing is carried out.
    Raises `NotReplayable` where there is nothing to go through.
    """
    plugins = plugins or Plugins.load()
    with opened(Path(path), plugins.codec()) as log:
        found = [record.event for record in log.read(types=[RunStarted.type])]
        runs = [event for event in found if isinstance(event, RunStarted) and run_id in {None, event.run_id}]
        if not runs:
            raise NotReplayable(
                str(path), why=f"it has no run {run_id or ''}".rstrip(), cure="`agl runs list` shows them"
            )
        return [_checked(log, started, algorithm, plugins) for started in runs]


def _checked(log: History, started: RunStarted, algorithm: Any, plugins: Plugins) -> Checked:
    if not started.resumable:
        why = f"{started.algorithm.name} works on the store directly, and its movements are not recorded"
        raise NotReplayable(started.run_id, why=why, cure="Only algorithms that work through a run can be checked")
    if algorithm is None:
        algorithm = recorded_algorithm(started.algorithm, plugins)
    reactions = recorded_reactions(plugins, started.config.reactions)
    return check(log, started.run_id, algorithm, plugins=plugins, reactions=reactions)
