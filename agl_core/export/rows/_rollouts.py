"""Rows of a log: its rollouts read task by task where an adapter allows it, so that what is in memory is a task's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agl_core.adapter import Adapter, Trace, is_by_task
from agl_core.errors import ContentErased
from agl_core.events import RunStarted
from agl_core.export._exporter import Exported
from agl_core.log import SqliteLog
from agl_core.projections import traces
from agl_core.run import Failures, treated

__all__ = ["Chosen", "RowsOf", "choose"]

Progress = Callable[[int, int | None], None]
_OF = "rollout_id = ?1 or (run_id = ?1 and hidden = 0)"
_OF_LOG = "hidden = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Rollouts, those of a task together."""

    tasks: Sequence[Sequence[tuple[str, str | None]]]
    """Rollout and run, in the order they were enqueued; tasks in the order of their first."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Split to number of rollouts that are of it, where another was asked for."""

    def __len__(self) -> int:
        return sum(map(len, self.tasks))


def choose(log: SqliteLog, ids: Iterable[str], *, split: str = "train") -> Chosen:
    """Rollouts by their ids, and of a run those of a split; without ids, those of the last run, or of a log that has
    none, all. `split` may be `all`; a rollout of no split counts as `train`."""  # noqa: D205, D209 - one paragraph
    wheres: list[tuple[str, Sequence[Any]]] = [(_OF, (id_,)) for id_ in ids]
    if not wheres:
        last = log.rows("select run_id from runs order by position desc limit 1")
        wheres = [(_OF, last[0])] if last else [(_OF_LOG, ())]
    tasks: dict[str, dict[str, str | None]] = defaultdict(dict)
    left_out: Counter[str] = Counter()
    for where, given in wheres:
        sql = f"select rollout_id, run_id, task_id, mode from rollouts where {where} order by position"  # noqa: S608 - one of two
        for rollout_id, run_id, task_id, mode in log.rows(sql, given):
            of = mode or "train"
            if split in {"all", of} or rollout_id in given:
                tasks[task_id][rollout_id] = run_id
            else:
                left_out[of] += 1
    return Chosen(tasks=[list(members.items()) for members in tasks.values()], left_out=left_out)


class RowsOf:
    """The rows an adapter makes of rollouts, once; and, when all were taken, what became of their calls.

    Rollouts are as their runs' failure policies have them. An adapter that goes by task is handed a task's at a time;
    any other one, which may compare what it likes, is handed all of them at once.
    """

    def __init__(
        self, log: SqliteLog, adapter: Adapter[Any], chosen: Chosen, *, progress: Progress = lambda _done, _of: None
    ) -> None:
        self._log, self._adapter, self._chosen, self._progress = log, adapter, chosen, progress
        self._policies: dict[str | None, Failures] = {None: Failures()}
        self.kept = 0
        """Calls that ended in a row."""
        self.dropped: Counter[str] = Counter()
        """Reason to number of calls."""
        self.erased = 0
        """Rollouts of which something was erased: they are in no row."""

    def __iter__(self) -> Iterator[Any]:
        done = 0
        for members in self._together():
            adapted = self._adapter(
                [trace for rollout_id, run_id in members for trace in self._trace(rollout_id, run_id)]
            )
            self.kept += adapted.kept
            self.dropped.update(dropped.reason for dropped in adapted.dropped)
            done += len(members)
            self._progress(done, len(self._chosen))
            yield from adapted.rows

    def _together(self) -> Sequence[Sequence[tuple[str, str | None]]]:
        """What the adapter is handed at a time."""
        tasks = self._chosen.tasks
        return tasks if is_by_task(self._adapter) else [[one for task in tasks for one in task]]

    def _trace(self, rollout_id: str, run_id: str | None) -> list[Trace]:
        try:
            found = list(traces([self._log.read(stream=f"rollout/{rollout_id}")]))
        except ContentErased:
            self.erased += 1
            return []
        return treated(found, self._policy(run_id))

    def _policy(self, run_id: str | None) -> Failures:
        if run_id not in self._policies:
            started = self._log.read(stream=f"run/{run_id}", types=["run.started"], limit=1)
            configs = [record.event.config for record in started if isinstance(record.event, RunStarted)]
            self._policies[run_id] = Failures.of(configs[0].failures) if configs else Failures()
        return self._policies[run_id]

    def told(self, exported: Exported) -> dict[str, Any]:
        """All counts, for programs."""
        captured = self.kept + self.dropped.total()
        return {
            "path": str(exported.path),
            "written": exported.written,
            "skipped": dict(exported.skipped),
            "rollouts": len(self._chosen),
            "left_out": dict(self._chosen.left_out),
            "erased": self.erased,
            "calls": {"captured": captured, "kept": self.kept, "dropped": dict(self.dropped)},
        }
