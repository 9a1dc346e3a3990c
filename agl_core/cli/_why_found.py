"""Facts that are found by what other facts say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agl_core.events import CallRecorded, OutcomesRead, RolloutEnqueued
from agl_core.ids import canonical

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.record import Record

__all__ = [
    "at",
    "before",
    "enqueued",
    "evidence",
    "fact",
    "group",
    "groups",
    "of_attempt",
    "run",
    "spoke",
    "version",
    "weights",
]


def group(log: SqliteLog, record: Record) -> tuple[str, int, int, int] | None:
    """Key of the round whose outcomes were read, how many rollouts it has, and where they were enqueued."""
    sql = (
        "select grp, count(*), min(position), max(position) from rollouts "
        "where run_id = ? and grp = ? and position < ? group by grp"
    )
    rows = log.rows(sql, (record.stream.removeprefix("run/"), record.key, record.position))
    return rows[0] if rows else None


def groups(log: SqliteLog, rollouts: Sequence[str]) -> list[tuple[str | None, int]]:
    """Rounds of which these rollouts are, the latest first, some of them; each with the first of its rollouts."""
    sql = (
        "select grp, min(position) from rollouts where rollout_id in (select value from json_each(?)) "
        "group by grp order by 2 desc limit 8"
    )
    return log.rows(sql, (canonical(list(rollouts)).decode(),))


def evidence(log: SqliteLog, record: Record, version: tuple[str, int], run_id: str | None) -> Record | None:
    """Where its run was told last, by then, what that version earned."""
    sql = (
        "select grp from rollouts where run_id = ? and resources_id = ? and resources_version = ? and position < ? "
        "and grp is not null group by grp order by max(position) desc limit 5"
    )
    for (group,) in log.rows(sql, (run_id, *version, record.position)):
        read = log.get(group)
        if read is not None and isinstance(read.event, OutcomesRead) and read.position < record.position:
            return read
    return None


def spoke(log: SqliteLog, event: RolloutEnqueued) -> Record | None:
    """The weights that answered its first call."""
    sql = (
        "select c.position from calls c join attempts a using (attempt_id) where a.rollout_id = ? "
        "and policy_version > 0 order by c.position limit 1"
    )
    call = fact(log, sql, event.rollout_id)
    return weights(log, call.event) if call is not None and isinstance(call.event, CallRecorded) else None


def weights(log: SqliteLog, call: CallRecorded) -> Record | None:
    """Those that answered a call."""
    sql = (
        "select p.position from policies p join rollouts r using (run_id) "
        "where r.rollout_id = ? and p.policy = ? and p.version = ?"
    )
    return fact(log, sql, call.rollout_id, call.call.model, call.policy_version)


def version(log: SqliteLog, named: tuple[str, int] | None) -> Record | None:
    """Where it was published."""
    sql = "select position from resources where resources_id = ? and version = ?"
    return fact(log, sql, *named) if named else None


def enqueued(log: SqliteLog, rollout_id: str) -> Record | None:
    """Where it was handed out."""
    return fact(log, "select position from rollouts where rollout_id = ?", rollout_id)


def run(log: SqliteLog, run_id: str | None) -> Record | None:
    """Where it was started."""
    return fact(log, "select position from runs where run_id = ?", run_id) if run_id else None


def before(log: SqliteLog, record: Record, type_: str) -> Record | None:
    """The last of a type in the same stream."""
    sql = "select position from events where stream = ? and type = ? and version < ? order by version desc limit 1"
    return fact(log, sql, record.stream, type_, record.version)


def of_attempt(log: SqliteLog, record: Record, type_: str, attempt_id: str | None) -> Record | None:
    """The last of a type before it in its stream, of an attempt."""
    sql = (
        "select position from events where stream = ? and type = ? and json_extract(data, '$.attempt_id') = ? "
        "and version < ? order by version desc limit 1"
    )
    return fact(log, sql, record.stream, type_, attempt_id, record.version) if attempt_id else None


def fact(log: SqliteLog, sql: str, *given: object) -> Record | None:
    """At the position that a query gives first."""
    rows = log.rows(sql, given)
    return at(log, rows[0][0]) if rows else None


def at(log: SqliteLog, position: int) -> Record | None:
    """The fact that stands there."""
    return log.records([position]).get(position)
