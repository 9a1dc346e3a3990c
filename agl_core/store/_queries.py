"""Questions the store answers from its tables."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from agl_core import resources
from agl_core.errors import UnknownId
from agl_core.events import RolloutConfig, RolloutEnqueued
from agl_core.log import SqliteLog
from agl_core.projections import Trace, traces
from agl_core.resources import ResourcesUpdate
from agl_core.store._types import Admission, Attempt, AttemptedRollout, Outcome, Rollout, Worker

__all__ = ["REWARD", "Queries"]

_SECOND = 1e9
_ROLLOUT = (
    "rollout_id, position, run_id, task_id, grp, repeat, mode, status, exit_status, resources_id, resources_version, "
    "attempt_id, attempts, config, metadata, enqueued_at, finished_at"
)
REWARD = (
    "(select value from rewards w where w.rollout_id = r.rollout_id and name = 'primary' and target_kind = 'rollout' "
    "and withdrawn = 0 and (w.attempt_id is null or w.attempt_id = r.attempt_id) order by position desc limit 1)"
)
"""The last reward of the attempt that counts, for a row `r` of `rollouts`: the one definition of a rollout's reward."""


class Queries:
    """Reads only; every answer is as of the last commit."""

    def __init__(self, log: SqliteLog) -> None:
        self.log = log
        self._secret = log.secret()

    def rollouts(
        self,
        *,
        ids: Sequence[str] | None = None,
        status_in: Sequence[str] = (),
        run_id: str | None = None,
        group: str | None = None,
        limit: int = -1,
        offset: int = 0,
    ) -> list[Rollout]:
        """Rollouts in the order they were enqueued; hidden ones are not among them."""
        where = ["hidden = 0"]
        parameters: list[Any] = []
        for column, wanted in (("rollout_id", ids), ("status", status_in or None)):
            if wanted is not None:
                # One mark, however many are asked for: SQLite takes only so many.
                where.append(f"{column} in (select value from json_each(?))")  # noqa: S608 - our own column names
                parameters.append(msgspec.json.encode(list(wanted)).decode())
        for column, value in (("run_id", run_id), ("grp", group)):
            if value is not None:
                where.append(f"{column} = ?")
                parameters.append(value)
        sql = f"select {_ROLLOUT} from rollouts where {' and '.join(where)} order by position limit ? offset ?"  # noqa: S608
        return [self._rollout(row) for row in self.log.rows(sql, [*parameters, limit, offset])]

    def rollout(self, rollout_id: str) -> Rollout:
        """The rollout of that id, with the attempt that counts if there was one."""
        found = self.log.rows(f"select {_ROLLOUT} from rollouts where rollout_id = ?", (rollout_id,))  # noqa: S608
        if not found:
            raise UnknownId("rollout", rollout_id)
        return self._rollout(found[0])

    def _rollout(self, row: Any) -> Rollout:
        (
            rollout_id, position, run_id, task_id, group, repeat, mode, status, exit_status, resources_id, version,
            attempt_id, attempts, config, metadata, enqueued, finished,
        ) = row  # fmt: skip
        event = next(iter(self.log.read(after=position - 1, until=position))).event
        fields: dict[str, Any] = {
            "rollout_id": rollout_id,
            "input": event.input if isinstance(event, RolloutEnqueued) else None,
            "start_time": enqueued / _SECOND,
            "end_time": finished and finished / _SECOND,
            "mode": mode,
            "resources_id": resources_id,
            "resources_version": version,
            "status": status,
            "exit_status": exit_status,
            "config": msgspec.json.decode(config, type=RolloutConfig),
            "metadata": msgspec.json.decode(metadata),
            "task_id": task_id,
            "run_id": run_id,
            "group": group,
            "repeat": repeat,
            "attempts": attempts,
        }
        if attempt_id is None:
            return Rollout(**fields)
        return AttemptedRollout(**fields, attempt=self.attempt(attempt_id))

    def attempts(self, rollout_id: str) -> list[Attempt]:
        """All tries at a rollout, first to last."""
        self.check([rollout_id])
        sql = "select attempt_id from attempts where rollout_id = ? order by sequence"
        return [self.attempt(attempt_id) for (attempt_id,) in self.log.rows(sql, (rollout_id,))]

    def attempt(self, attempt_id: str) -> Attempt:
        """The attempt of that id."""
        found = self.log.rows(
            "select attempt_id, rollout_id, sequence, worker_id, token, status, exit_status, error, started_at, "
            "ended_at from attempts where attempt_id = ?",
            (attempt_id,),
        )
        if not found:
            raise UnknownId("attempt", attempt_id)
        _, rollout_id, sequence, worker_id, token, status, exit_status, error, started, ended = found[0]
        return Attempt(
            rollout_id=rollout_id, attempt_id=attempt_id, sequence_id=sequence, start_time=started / _SECOND,
            end_time=ended and ended / _SECOND, status=status, exit_status=exit_status, error=error,
            worker_id=worker_id, token=token,
        )  # fmt: skip

    def outcomes(self, rollout_ids: Sequence[str], tasks: Mapping[str, Any] | None = None) -> list[Outcome]:
        """What came of each, in the order asked; `tasks` spares reading the inputs back."""
        self.check(rollout_ids)
        found: dict[str, Outcome] = {}
        for ids in _parts(rollout_ids):
            sql = (
                f"select rollout_id, task_id, repeat, status, exit_status, {REWARD} from rollouts r "  # noqa: S608
                f"where rollout_id in ({', '.join('?' * len(ids))})"
            )
            for rollout_id, task, repeat, status, exit_status, reward in self.log.rows(sql, ids):
                found[rollout_id] = Outcome(
                    rollout_id=rollout_id, task_id=task, repeat=repeat, status=status, exit_status=exit_status,
                    task=tasks[rollout_id] if tasks else self.rollout(rollout_id).input, reward=reward,
                )  # fmt: skip
        return [found[rollout_id] for rollout_id in rollout_ids]

    def traces(self, rollout_ids: Iterable[str]) -> list[Trace]:
        """What each rollout left in the log, for adapters."""
        ids = list(rollout_ids)
        self.check(ids)
        return list(traces(self.log.read(stream=f"rollout/{rollout_id}") for rollout_id in ids))

    def check(self, rollout_ids: Sequence[str]) -> None:
        """All of them exist; `UnknownId` names the first that does not."""
        known: set[str] = set()
        for ids in _parts(rollout_ids):
            sql = f"select rollout_id from rollouts where rollout_id in ({', '.join('?' * len(ids))})"  # noqa: S608
            known.update(rollout_id for (rollout_id,) in self.log.rows(sql, ids))
        for rollout_id in rollout_ids:
            if rollout_id not in known:
                raise UnknownId("rollout", rollout_id)

    def finished(self, rollout_ids: Sequence[str]) -> set[str]:
        """Which of them no further attempt will be made at."""
        done: set[str] = set()
        for ids in _parts(rollout_ids):
            sql = (
                f"select rollout_id from rollouts where rollout_id in ({', '.join('?' * len(ids))}) "  # noqa: S608
                "and status in ('succeeded', 'failed', 'cancelled')"
            )
            done.update(rollout_id for (rollout_id,) in self.log.rows(sql, ids))
        return done

    def resources(self, resources_id: str, version: int | None = None) -> ResourcesUpdate:
        """A version of a bundle; the newest when none is named."""
        found = self.log.rows(
            "select resources_id, version, parent, why, data, created_at from resources "
            "where resources_id = ? and (? is null or version = ?) order by version desc limit 1",
            (resources_id, version, version),
        )
        if not found:
            raise UnknownId("resource", resources_id if version is None else f"{resources_id}@{version}")
        return _bundle(found[0])

    def latest_resources(self) -> ResourcesUpdate | None:
        """The bundle that came out last, if any did."""
        found = self.log.rows(
            "select resources_id, version, parent, why, data, created_at from resources order by position desc limit 1"
        )
        return _bundle(found[0]) if found else None

    def workers(self) -> list[Worker]:
        """Workers that joined and did not leave."""
        rows = self.log.rows(
            "select w.worker_id, w.host, w.pid, a.attempt_id from workers w left join attempts a "
            "on a.worker_id = w.worker_id and a.ended_at is null where w.left_at is null order by w.joined_at"
        )
        return [
            Worker(worker_id=name, host=host, pid=pid, status="busy" if attempt else "idle", current_attempt_id=attempt)
            for name, host, pid, attempt in rows
        ]

    def admission(self, rollout_id: str, attempt_id: str) -> Admission:
        """What the gateway must know of an attempt. One indexed read."""
        found = self.log.rows(
            "select r.run_id, r.task_id, r.repeat, r.mode, r.metadata, n.seed, a.status, "
            "r.attempt_id = a.attempt_id and r.status in ('preparing', 'running') "
            "from attempts a join rollouts r using (rollout_id) left join runs n using (run_id) "
            "where a.attempt_id = ? and a.rollout_id = ?",
            (attempt_id, rollout_id),
        )
        if not found:
            raise UnknownId("attempt", attempt_id)
        run_id, task_id, repeat, mode, metadata, seed, status, is_current = found[0]
        return Admission(
            run_id=run_id, rollout_id=rollout_id, attempt_id=attempt_id, task_id=task_id, repeat=repeat, mode=mode,
            seed=seed, key=self.attempt_key(attempt_id),
            is_open=bool(is_current) and status in {"preparing", "running"},
            sampling=msgspec.json.decode(metadata).get("sampling", {}),
        )  # fmt: skip

    def attempt_key(self, attempt_id: str) -> str:
        """The token an attempt shows at the gateway: made from the log's own key, and stored nowhere."""
        return "agl-" + hmac.new(self._secret, attempt_id.encode(), blake2b).hexdigest()[:48]


def _bundle(row: Any) -> ResourcesUpdate:
    resources_id, version, parent, why, data, created = row
    return ResourcesUpdate(
        resources_id=resources_id,
        version=version,
        create_time=created / _SECOND,
        update_time=created / _SECOND,
        resources={name: resources.load(inner) for name, inner in msgspec.json.decode(data).items()},
        parent=parent,
        why=why,
    )


def _parts(ids: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    """SQLite takes so many parameters and no more."""
    return (ids[start : start + size] for start in range(0, len(ids), size))
