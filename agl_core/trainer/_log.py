"""A run in its log: found again to be resumed, and what a trainer notes of it."""

from __future__ import annotations

from agl_core.errors import RunNotResumable
from agl_core.events import Event, RunStarted
from agl_core.log import SqliteLog
from agl_core.record import Draft

__all__ = ["find", "note"]


def find(log: SqliteLog, run_id: str) -> RunStarted:
    """How the run began; raises `RunNotResumable` when there is nothing to go on with."""
    record = log.get(run_id)
    if record is None or not isinstance(record.event, RunStarted):
        raise RunNotResumable(run_id, why=f"{log.path} has no run of that id; `agl runs list` shows them")
    status = log.rows("select status from runs where run_id = ?", (run_id,))[0][0]
    if status == "finished":
        raise RunNotResumable(run_id, why="it is finished")
    if not record.event.resumable:
        raise RunNotResumable(run_id, why=f"{record.event.algorithm.name} works on the store directly: start a new run")
    return record.event


async def note(log: SqliteLog, run_id: str, event: Event, *, key: str | None = None, stream: str | None = None) -> None:
    """Append a fact of the run, to its own stream unless another is named."""
    draft = Draft(stream=stream or f"run/{run_id}", event=event, key=key, correlation_id=run_id)
    await log.soon([draft])
