"""Lists of what the store holds: filtered, sorted, a page at a time, each page in a few reads however long the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agl_core.events import RewardGiven, SpanRecorded
from agl_core.log import SqliteLog
from agl_core.record import Record
from agl_core.resources import ResourcesUpdate
from agl_core.store._pages import FilterLogic, Page, PaginatedResult, holds
from agl_core.store._rows import (
    ATTEMPT,
    ATTEMPTS,
    ROLLOUT,
    ROLLOUTS,
    WORKER,
    WORKERS,
    attempt,
    bundle,
    many,
    rollout,
    worker,
)
from agl_core.store._said import BESIDE, REWARDS, SAID, rewarded
from agl_core.store._span import Span
from agl_core.store._types import Attempt, AttemptedRollout, Rollout, Worker

__all__ = ["Lists"]


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
        sql = f"select {ROLLOUT} from ({stretches}) order by {page.order} limit ? offset ?"  # noqa: S608 - our names
        return self.log.rows(sql, [*(part for status in statuses for part in (status, most)), page.limit, page.offset])

    def _page(self, where: str, given: Sequence[Any], page: Page) -> list[Any]:
        """Ids first, from an index alone: what an offset skips is not looked at any closer."""
        sql = (
            f"select {ROLLOUT} from rollouts where rollout_id in (select rollout_id from rollouts "  # noqa: S608 - ours
            f"where {where} order by {page.order} limit ? offset ?) order by {page.order}"
        )
        return self.log.rows(sql, [*given, page.limit, page.offset])

    def rollout_rows(self, ids: Sequence[str]) -> list[Any]:
        """Rows of `made`, deleted ones among them."""
        sql = f"select {ROLLOUT} from rollouts where rollout_id in (select value from json_each(?)) order by position"  # noqa: S608
        return self.log.rows(sql, (many(ids),))

    def made(self, rows: Sequence[Any]) -> list[Rollout]:
        """Rollouts of those rows, each with its latest attempt."""
        inputs = self._inputs(rows)
        attempts = {one.attempt_id: one for one in self._attempts([row[12] for row in rows if row[12] is not None])}
        return [rollout(row, inputs[row[2]], attempts.get(row[12])) for row in rows]

    def taken(self, attempt_ids: Sequence[str]) -> list[AttemptedRollout]:
        """Those attempts, each with its rollout, in the order asked."""
        attempts = {one.attempt_id: one for one in self._attempts(attempt_ids)}
        rows = {row[0]: row for row in self.rollout_rows([one.rollout_id for one in attempts.values()])}
        inputs = self._inputs(list(rows.values()))
        found = (attempts[attempt_id] for attempt_id in attempt_ids)
        made = (rollout(row := rows[one.rollout_id], inputs[row[2]], one) for one in found)
        return [rollout for rollout in made if isinstance(rollout, AttemptedRollout)]

    def _inputs(self, rows: Sequence[Any]) -> dict[int, Any]:
        """In one read, however many there are."""
        records = self.log.records([row[2] for row in rows]).items()
        # An event that was erased, or that this process does not know, has none.
        return {position: getattr(record.event, "input", None) for position, record in records}

    # --- attempts

    def attempts(self, rollout_id: str, page: Page | None = None) -> PaginatedResult[Attempt]:
        """All tries at a rollout, first to last unless the page says otherwise."""
        page = page or Page(columns=ATTEMPTS, sort_by="sequence_id")
        order = page.order.replace("position", "sequence")
        sql = f"select {ATTEMPT} from attempts a where rollout_id = ? order by {order} limit ? offset ?"  # noqa: S608
        items = [attempt(row) for row in self.log.rows(sql, (rollout_id, page.limit, page.offset))]
        return page.of(items, self._count("attempts", "rollout_id = ?", [rollout_id]))

    def _attempts(self, ids: Sequence[str]) -> list[Attempt]:
        sql = f"select {ATTEMPT} from attempts a where attempt_id in (select value from json_each(?))"  # noqa: S608
        return [attempt(row) for row in self.log.rows(sql, (many(ids),))] if ids else []

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
        has_rewards = self.log.rows(f"select 1 from ({REWARDS}) where {must} limit 1", fixed)  # noqa: S608 - our own names
        table = f"({SAID})" if has_rewards else "spans"
        sql = (
            f"select position, sequence_id from {table} where {must} and {where} "  # noqa: S608 - our own names
            f"order by {page.order} limit ? offset ?"
        )
        rows = self.log.rows(sql, [*fixed, *given, page.limit, page.offset])
        return page.of(self.spans_at(rows), self._count(table, f"{must} and {where}", [*fixed, *given]))

    def spans_at(self, rows: Sequence[tuple[int, int]]) -> list[Span]:
        """The spans at those positions, with those sequence ids."""
        records = self.log.records([row[0] for row in rows])
        found = ((records.get(position), sequence_id) for position, sequence_id in rows)
        made = (self._span(record, sequence_id) for record, sequence_id in found if record is not None)
        return [span for span in made if span is not None]

    def _span(self, record: Record, sequence_id: int) -> Span | None:
        match record.event:
            case SpanRecorded() as event:
                return Span.of(event, sequence_id)
            case RewardGiven() as event:
                beside = self.log.rows(BESIDE, (record.position,))
                others = self.log.records([position for (position,) in beside]).values()
                return rewarded(record, event, [other.event for other in others], sequence_id)
        return None

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
        sql = f"select {WORKER} where {condition} order by {page.order} limit ? offset ?"
        items = [worker(row) for row in self.log.rows(sql, [*fixed, *given, page.limit, page.offset])]
        return page.of(items, self._count("workers", condition, [*fixed, *given]))

    def _count(self, table: str, where: str, given: Sequence[Any]) -> int:
        return int(self.log.rows(f"select count(*) from {table} where {where}", given)[0][0])  # noqa: S608 - our names
