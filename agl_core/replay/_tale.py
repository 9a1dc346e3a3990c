"""How far a run has come in its history: movements that were met, those that were not, and where it would go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agl_core.errors import ReplayDiverged
from agl_core.events import MetricsLogged, RunFailed, RunFinished
from agl_core.log import SqliteLog
from agl_core.run._sides import in_code

__all__ = ["Beyond", "End", "Tale", "worded"]

_MOVEMENTS = """
select key, min(position) from events
where key >= :run || '/' and key < :run || '0' and type not like 'rollout.%' and type not like 'call.%' and type <> :metrics
group by key
union all
select grp, min(position) from rollouts where run_id = :run and grp is not null group by grp
"""  # noqa: E501 - one clause
_PARTS = 5
"""Of a movement's key, at least: run, scope, kind, label and number."""


class Beyond(BaseException):
    """What is asked for lies past the end of a history. No guest is to catch it as an error of its own."""


@dataclass(frozen=True, slots=True)
class End:
    """What a run would do next."""

    key: str
    where: str
    """In the algorithm's code."""


class Tale:
    """Of one run in its log."""

    def __init__(self, log: SqliteLog, run_id: str) -> None:
        self._log, self.run_id = log, run_id
        self.recorded: dict[str, int] = {}
        """Movement to the position at which the log has it first."""
        for key, position in log.rows(_MOVEMENTS, {"run": run_id, "metrics": MetricsLogged.type}):  # type: ignore[arg-type]  # by name
            if key == f"{run_id}/test.opened" or (key.count("/") >= _PARTS - 1 and key.rpartition("/")[2].isdigit()):
                self.recorded[key] = min(position, self.recorded.get(key, position))
        self.met: set[str] = set()
        self.ends: list[End] = []
        self.unlogged = 0
        """Metrics that the log does not have: they are not compared, and counted."""
        self.is_beyond = asyncio.Event()
        last = list(log.read(stream=f"run/{run_id}", types=[RunFinished.type, RunFailed.type]))
        self.last = last[-1] if last else None
        """How the run ended last."""

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing past its end."""
        return self.last is not None and isinstance(self.last.event, RunFinished)

    @property
    def left(self) -> list[str]:
        """Movements that were not met, in the order of the log."""
        return sorted(self.recorded.keys() - self.met, key=self.recorded.__getitem__)

    def meet(self, key: str) -> None:
        """The run comes by a movement; raises what `missing` gives where the log has none of that name."""
        if key not in self.recorded:
            raise self.missing(key)
        self.met.add(key)

    def missing(self, key: str) -> BaseException:
        """`ReplayDiverged` where the history is whole; else the run would go on there, if all else was met."""
        if self.is_finished:
            return self.parted(key)
        self.ends.append(End(key, in_code()))
        self.is_beyond.set()
        return Beyond(key)

    def parted(self, key: str | None, *, asked: str = "", where: str | None = None) -> ReplayDiverged:
        """The code asks for what the log has not (`key`), or does not ask for what it has."""
        left = next(iter(self.left), None)
        record = self._log.records([self.recorded[left]])[self.recorded[left]] if left is not None else None
        recorded = f"{worded(left)} next" if left is not None else "no movement more"
        return ReplayDiverged(
            key or left or self.run_id,
            position=record.position if record is not None else None,
            recorded=recorded,
            asked=asked or (worded(key) if key is not None else "nothing more"),
            where=in_code() if where is None else where,
            by=record.actor if record is not None else "",
        )


def worded(key: str) -> str:
    """A movement as people say it."""
    parts = key.split("/")
    if len(parts) < _PARTS:
        return key.partition("/")[2] or key
    _, scope, kind, *label, number = parts
    within = f" of scope {scope.removeprefix('main.')}" if scope != "main" else ""
    return f"{kind} {'/'.join(label)!r} number {int(number) + 1}{within}"
