"""Rollouts taken from the queue: what is taken is read where it is claimed, and nobody looks again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agl_core.events import AttemptStarted
from agl_core.log import SqliteLog, View
from agl_core.record import Draft, Record
from agl_core.store._decisions import Leases, Standing, begin
from agl_core.store._rows import ROLLOUT, rollout
from agl_core.store._types import Attempt, AttemptedRollout, rollout_config

__all__ = ["Claim", "Taken"]

_SECOND = 1e9
_FIRST = (
    f"select {ROLLOUT}, hidden, type, schema, data "  # noqa: S608 - our own names
    "from (select rollout_id from queue order by position limit ?) join rollouts using (rollout_id) "
    "join (select position as brought, type, schema, data from events) on brought = input_position order by position"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """An attempt that was begun, and what it is at."""

    record: Record
    row: Sequence[Any]

    @property
    def started(self) -> AttemptStarted:
        """The event that began it."""
        assert isinstance(self.record.event, AttemptStarted)
        return self.record.event

    def rollout(self, log: SqliteLog) -> AttemptedRollout:
        """As whoever took it gets it."""
        started, at = self.started, self.record.recorded_at / _SECOND
        attempt = Attempt(
            rollout_id=started.rollout_id, attempt_id=started.attempt_id, sequence_id=started.sequence, start_time=at,
            worker_id=started.worker_id, last_heartbeat_time=at, token=started.token,
        )  # fmt: skip
        *row, _hidden, type_, schema, data = self.row
        made = rollout(row, getattr(log.event(type_, schema, data), "input", None), attempt)
        assert isinstance(made, AttemptedRollout)
        return replace(made, status="preparing", attempts=started.sequence)


class Claim:
    """A decision: the first of the queue, to `workers`, one each, under leases."""

    def __init__(self, workers: Sequence[str], leases: Leases) -> None:
        self._workers, self._leases = workers, leases
        self._rows: list[Any] = []

    def __call__(self, view: View) -> list[Draft]:
        """Begin an attempt for each worker there is something for."""
        self._rows = view.rows(_FIRST, (len(self._workers),))
        return [
            begin(view, _standing(row), worker_id, self._leases)
            for row, worker_id in zip(self._rows, self._workers, strict=False)
        ]

    def taken(self, records: Sequence[Record]) -> list[Taken]:
        """What was claimed, in the order of the workers; `records` are what the decision became."""
        return [Taken(record, row) for record, row in zip(records, self._rows, strict=True)]


def _standing(row: Sequence[Any]) -> Standing:
    (
        rollout_id, _, _, run_id, _, _, _, _, status, _, _, _, attempt_id, attempts, config, _, _, _, hidden, *_,
    ) = row  # fmt: skip
    return Standing(rollout_id, run_id, status, attempt_id, attempts, rollout_config(config), bool(hidden))
