"""Lists of what the store holds: filtered, sorted, a page at a time, each page in a few reads however long the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agl_core import resources
from agl_core.events import RolloutConfig, SpanRecorded
from agl_core.log import SqliteLog
from agl_core.resources import ResourcesUpdate
from agl_core.store._pages import FilterLogic, Page, PaginatedResult, holds
from agl_core.store._span import Span
from agl_core.store._types import Attempt, AttemptedRollout, Rollout, Worker

__all__ = ["ATTEMPTS", "BUNDLES", "ROLLOUTS", "SPANS", "WORKERS", "Lists", "bundle", "many"]

_SECOND = 1e9
ROLLOUTS = {
    "rollout_id": "rollout_id",
    "start_time": "position",
    "end_time": "finished_at",
    "status": "status",
    "mode": "mode",
    "exit_status": "exit_status",
    "resources_id": "resources_id",
    "task_id": "task_id",
    "run_id": "run_id",
}
"""What rollouts can be sorted by."""
ATTEMPTS = {
    "sequence_id": "sequence",
    "attempt_id": "attempt_id",
    "start_time": "started_at",
    "end_time": "ended_at",
    "status": "status",
    "worker_id": "worker_id",
}
"""What attempts can be sorted by."""
SPANS = {
    "sequence_id": "sequence_id",
    "attempt_id": "attempt_id",
    "span_id": "span_id",
    "trace_id": "trace_id",
    "parent_id": "parent_id",
    "name": "name",
    "status": "status",
    "start_time": "started_at",
    "end_time": "ended_at",
}
"""What spans can be sorted by."""
BUNDLES = {
    "resources_id": "resources_id",
    "version": "version",
    "create_time": "position",
    "update_time": "position",
}
"""What resources can be sorted by."""
WORKERS = {
    "worker_id": "worker_id",
    "status": "status",
    "last_heartbeat_time": "heartbeat_at",
    "last_dequeue_time": "dequeued_at",
    "last_busy_time": "busy_at",
    "last_idle_time": "idle_at",
    "current_rollout_id": "rollout_id",
    "current_attempt_id": "attempt_id",
}
"""What workers can be sorted by."""

_ROLLOUT = (
    "rollout_id, position, input_position, run_id, task_id, grp, repeat, mode, status, exit_status, resources_id, "
    "resources_version, attempt_id, attempts, config, metadata, enqueued_at, finished_at"
)
_ATTEMPT = (
    "a.attempt_id, a.rollout_id, sequence, worker_id, token, status, exit_status, error, metadata, started_at, "
    "ended_at, (select data ->> 'beat' from in_flight f where f.kind = 'lease' and f.id = a.attempt_id)"
)
_WORKER = (
    "w.worker_id, w.position, host, pid, status, rollout_id, attempt_id, dequeued_at, busy_at, idle_at, "
    "f.data ->> 'at' as heartbeat_at, f.data -> 'stats' as stats "
    "from workers w left join in_flight f on f.kind = 'worker' and f.id = w.worker_id"
)


class Lists:
    """Reads only; every answer is as of the last commit."""

    def __init__(self, log: SqliteLog) -> None:
        self.log = log

    # --- rollouts

    def rollouts(
        self,
        *,
        ids: Sequence[str] | None = None,
        status_in: Sequence[str] | None = None,
        id_contains: str | None = None,
        filter_logic: FilterLogic = "and",
        run_id: str | None = None,
        group: str | None = None,
        page: Page | None = None,
    ) -> PaginatedResult[Rollout]:
        """Rollouts that are not deleted. Filters are joined by `filter_logic`; `run_id` and `group` hold always."""
        page = page or Page(columns=ROLLOUTS)
        where, given = holds(
            [
                ("status in (select value from json_each(?))", many(status_in)),
                # One mark, however many are asked for: SQLite takes only so many.
                ("rollout_id in (select value from json_each(?))", many(ids)),
                ("instr(rollout_id, ?) > 0", id_contains),
            ],
            filter_logic,
        )
        must, fixed = holds([("run_id = ?", run_id), ("grp = ?", group)], "and")
        is_by_status = ids is None and id_contains is None and must == "1"
        if is_by_status and status_in is not None:
            rows = self._by_status(sorted(set(status_in)), page)
        else:
            rows = self._page(f"hidden = 0 and {must} and {where}", [*fixed, *given], page)
        items = self.made(rows)
        if page.limit < 0 and page.offset == 0:
            return page.of(items, len(items))
        if is_by_status:
            sql = f"select coalesce(sum(rollouts), 0) from tallies where {where}"  # noqa: S608 - our own names
            return page.of(items, self.log.rows(sql, given)[0][0])
        return page.of(items, self._count("rollouts", f"hidden = 0 and {must} and {where}", [*fixed, *given]))

    def _by_status(self, statuses: Sequence[str], page: Page) -> list[Any]:
        """Each status has its own stretch of an index, in order: no more of each is read than the page may need."""
        if not statuses:
            return []
        if len(statuses) == 1:
            return self._page("hidden = 0 and status = ?", statuses, page)
        most = -1 if page.limit < 0 else page.limit + page.offset
        one = f"select * from (select * from rollouts where hidden = 0 and status = ? order by {page.order} limit ?)"  # noqa: S608
        stretches = " union all ".join([one] * len(statuses))
        sql = f"select {_ROLLOUT} from ({stretches}) order by {page.order} limit ? offset ?"  # noqa: S608 - our names
        return self.log.rows(sql, [*(part for status in statuses for part in (status, most)), page.limit, page.offset])

    def _page(self, where: str, given: Sequence[Any], page: Page) -> list[Any]:
        """Ids first, from an index alone: what an offset skips is not looked at any closer."""
        sql = (
            f"select {_ROLLOUT} from rollouts where rollout_id in (select rollout_id from rollouts "  # noqa: S608 - ours
            f"where {where} order by {page.order} limit ? offset ?) order by {page.order}"
        )
        return self.log.rows(sql, [*given, page.limit, page.offset])

    def rollout_rows(self, ids: Sequence[str]) -> list[Any]:
        """Rows of `made`, deleted ones among them."""
        sql = f"select {_ROLLOUT} from rollouts where rollout_id in (select value from json_each(?)) order by position"  # noqa: S608
        return self.log.rows(sql, (many(ids),))

    def made(self, rows: Sequence[Any]) -> list[Rollout]:
        """Rollouts of those rows, each with its latest attempt."""
        inputs = self._inputs(rows)
        attempts = {one.attempt_id: one for one in self._attempts([row[12] for row in rows if row[12] is not None])}
        return [_rollout(row, inputs[row[2]], attempts.get(row[12])) for row in rows]

    def taken(self, attempt_ids: Sequence[str]) -> list[AttemptedRollout]:
        """Those attempts, each with its rollout, in the order asked."""
        attempts = {one.attempt_id: one for one in self._attempts(attempt_ids)}
        rows = {row[0]: row for row in self.rollout_rows([one.rollout_id for one in attempts.values()])}
        inputs = self._inputs(list(rows.values()))
        found = (attempts[attempt_id] for attempt_id in attempt_ids)
        made = (_rollout(row := rows[one.rollout_id], inputs[row[2]], one) for one in found)
        return [rollout for rollout in made if isinstance(rollout, AttemptedRollout)]

    def _inputs(self, rows: Sequence[Any]) -> dict[int, Any]:
        """In one read, however many there are."""
        records = self.log.at([row[2] for row in rows]).items()
        # An event that was erased, or that this process does not know, has none.
        return {position: getattr(record.event, "input", None) for position, record in records}

    # --- attempts

    def attempts(self, rollout_id: str, page: Page | None = None) -> PaginatedResult[Attempt]:
        """All tries at a rollout, first to last unless the page says otherwise."""
        page = page or Page(columns=ATTEMPTS, sort_by="sequence_id")
        order = page.order.replace("position", "sequence")
        sql = f"select {_ATTEMPT} from attempts a where rollout_id = ? order by {order} limit ? offset ?"  # noqa: S608
        items = [_attempt(row) for row in self.log.rows(sql, (rollout_id, page.limit, page.offset))]
        return page.of(items, self._count("attempts", "rollout_id = ?", [rollout_id]))

    def _attempts(self, ids: Sequence[str]) -> list[Attempt]:
        sql = f"select {_ATTEMPT} from attempts a where attempt_id in (select value from json_each(?))"  # noqa: S608
        return [_attempt(row) for row in self.log.rows(sql, (many(ids),))] if ids else []

    # --- spans

    def spans(
        self,
        rollout_id: str,
        attempt_id: str | None,
        filters: Sequence[tuple[str, Any]],
        logic: FilterLogic,
        page: Page,
    ) -> PaginatedResult[Span]:
        """Spans of a rollout, or of one attempt at it, that pass the filters."""
        must, fixed = holds([("rollout_id = ?", rollout_id), ("attempt_id = ?", attempt_id)], "and")
        where, given = holds(filters, logic)
        sql = (
            f"select position, sequence_id from spans where {must} and {where} "  # noqa: S608 - our own names
            f"order by {page.order} limit ? offset ?"
        )
        rows = self.log.rows(sql, [*fixed, *given, page.limit, page.offset])
        return page.of(self.spans_at(rows), self._count("spans", f"{must} and {where}", [*fixed, *given]))

    def spans_at(self, rows: Sequence[tuple[int, int]]) -> list[Span]:
        """The spans at those positions, with those sequence ids."""
        events = {position: record.event for position, record in self.log.at([row[0] for row in rows]).items()}
        found = ((events.get(position), sequence_id) for position, sequence_id in rows)
        return [Span.of(event, sequence_id) for event, sequence_id in found if isinstance(event, SpanRecorded)]

    # --- resources and workers

    def bundles(
        self, resources_id: str | None, id_contains: str | None, page: Page
    ) -> PaginatedResult[ResourcesUpdate]:
        """Each bundle at its newest version."""
        newest = "version = (select max(version) from resources n where n.resources_id = r.resources_id)"
        where, given = holds([("resources_id = ?", resources_id), ("instr(resources_id, ?) > 0", id_contains)], "and")
        sql = (
            "select resources_id, version, parent, why, data, created_at from resources r "  # noqa: S608 - our own names
            f"where {newest} and {where} order by {page.order} limit ? offset ?"
        )
        items = [bundle(row) for row in self.log.rows(sql, [*given, page.limit, page.offset])]
        return page.of(items, self._count("resources r", f"{newest} and {where}", given))

    def workers(
        self,
        status_in: Sequence[str] | None = None,
        id_contains: str | None = None,
        logic: FilterLogic = "and",
        page: Page | None = None,
        *,
        worker_id: str | None = None,
    ) -> PaginatedResult[Worker]:
        """Workers that joined and did not leave."""
        page = page or Page(columns=WORKERS)
        where, given = holds(
            [
                ("status in (select value from json_each(?))", many(status_in)),
                ("instr(worker_id, ?) > 0", id_contains),
            ],
            logic,
        )
        must, fixed = holds([("worker_id = ?", worker_id)], "and")
        condition = f"left_at is null and {must} and {where}"
        sql = f"select {_WORKER} where {condition} order by {page.order} limit ? offset ?"
        items = [_worker(row) for row in self.log.rows(sql, [*fixed, *given, page.limit, page.offset])]
        return page.of(items, self._count("workers", condition, [*fixed, *given]))

    def _count(self, table: str, where: str, given: Sequence[Any]) -> int:
        return int(self.log.rows(f"select count(*) from {table} where {where}", given)[0][0])  # noqa: S608 - our names


def many(values: Sequence[str] | None) -> str | None:
    """One parameter for however many values, as JSON; `json_each` reads it."""
    return None if values is None else msgspec.json.encode(list(values)).decode()


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / _SECOND


def _rollout(row: Any, input: Any, attempt: Attempt | None) -> Rollout:
    (
        rollout_id, _, _, run_id, task_id, group, repeat, mode, status, exit_status, resources_id, version,
        _, attempts, config, metadata, enqueued, finished,
    ) = row  # fmt: skip
    fields: dict[str, Any] = {
        "rollout_id": rollout_id,
        "input": input,
        "start_time": enqueued / _SECOND,
        "end_time": _seconds(finished),
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
    return Rollout(**fields) if attempt is None else AttemptedRollout(**fields, attempt=attempt)


def _attempt(row: Any) -> Attempt:
    (
        attempt_id, rollout_id, sequence, worker_id, token, status, exit_status, error, metadata, started, ended, beat,
    ) = row  # fmt: skip
    return Attempt(
        rollout_id=rollout_id, attempt_id=attempt_id, sequence_id=sequence, start_time=started / _SECOND,
        end_time=_seconds(ended), status=status, exit_status=exit_status, error=error, worker_id=worker_id,
        last_heartbeat_time=_seconds(beat), metadata=msgspec.json.decode(metadata), token=token,
    )  # fmt: skip


def _worker(row: Any) -> Worker:
    worker_id, _, host, pid, status, rollout_id, attempt_id, dequeued, busy, idle, heartbeat, stats = row
    return Worker(
        worker_id=worker_id, host=host, pid=pid, status=status, current_rollout_id=rollout_id,
        current_attempt_id=attempt_id, last_dequeue_time=_seconds(dequeued), last_busy_time=_seconds(busy),
        last_idle_time=_seconds(idle), last_heartbeat_time=_seconds(heartbeat),
        heartbeat_stats=None if stats is None else msgspec.json.decode(stats),
    )  # fmt: skip


def bundle(row: Any) -> ResourcesUpdate:
    """A row of `resources`."""
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
