"""How a batch was made, or may be: of which rollouts, by which adapter, of the log as it stood when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from agl_core.events import BatchFormed, RunConfig, RunStarted
from agl_core.log import SqliteLog

__all__ = ["Recipe", "of_rollouts", "otherwise", "recorded", "supposed", "there"]

RULES = "rewards"
"""Registry name of the adapter whose rules a credit names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that the rows of a batch depend on."""

    rollouts: tuple[str, ...]
    adapter: str
    options: Mapping[str, Any] | None = None
    """Null of a batch that does not say: of an adapter without a name, or of a log before they were recorded."""
    as_of: int
    select: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    dialects: tuple[str, ...] = ()
    """By which spans are read, the first that knows one; none of the core's own table."""
    run_id: str | None = None
    batch_id: str | None = None
    """Null of a batch that nobody formed."""
    position: int | None = None
    formed: BatchFormed | None = None
    """The batch as it was recorded; null where the rows are to be others, or nobody formed it."""

    @property
    def digest(self) -> str | None:
        """Of the rows as they were recorded; null where there is nothing to compare."""
        return None if self.formed is None else self.formed.digest


def recorded(
    log: SqliteLog,
    *,
    run_id: str | None = None,
    batch_id: str | None = None,
    rollout_id: str | None = None,
    until: int | None = None,
) -> list[Recipe]:
    """Those of a run, that of the batch, or of each batch that the rollout is a member of, in the order they were
    formed; of the log up to `until`."""  # noqa: D205, D209 - one sentence
    sql = (
        "select position from batches where (?1 is null or batch_id = ?1) and (?2 is null or run_id = ?2) "
        "and (?3 is null or position <= ?3) order by position"
    )
    positions = [position for (position,) in log.rows(sql, (batch_id, run_id, until))]
    configs: dict[str, RunConfig] = {}
    found = []
    for position, record in sorted(log.records(positions).items()):
        event = record.event
        if not isinstance(event, BatchFormed) or (rollout_id is not None and rollout_id not in event.rollouts):
            continue
        if event.run_id not in configs:
            configs[event.run_id] = _config(log, event.run_id)
        found.append(
            Recipe(
                rollouts=event.rollouts,
                adapter=event.adapter,
                options=event.options,
                as_of=event.as_of if event.as_of is not None else position - 1,
                select=configs[event.run_id].select,
                failures=event.failures,
                run_id=event.run_id,
                batch_id=event.batch_id,
                position=position,
                formed=event,
            )
        )
    return found


def supposed(log: SqliteLog, rollout_id: str) -> Recipe:
    """The rollout and the others that tried its task beside it, with credit by `final`, of the log as it stands."""
    run_id, group, task_id = log.rows("select run_id, grp, task_id from rollouts where rollout_id = ?", (rollout_id,))[
        0
    ]
    sql = (
        "select rollout_id from rollouts where run_id is ? and grp is ? and task_id = ? "
        "and (hidden = 0 or rollout_id = ?) order by position"
    )
    beside = [id_ for (id_,) in log.rows(sql, (run_id, group, task_id, rollout_id))]
    return of_rollouts(log, beside, run_id=run_id, as_of=log.head())


def of_rollouts(log: SqliteLog, rollouts: Sequence[str], *, run_id: str | None, as_of: int) -> Recipe:
    """Those rollouts, as their run would have them, with credit by `final`: a batch that nobody formed."""
    config = _config(log, run_id)
    return Recipe(
        rollouts=there(log, rollouts, as_of),
        adapter=RULES,
        options={},
        as_of=as_of,
        select=config.select,
        failures=config.failures,
        run_id=run_id,
    )


def otherwise(
    log: SqliteLog,
    base: Recipe,
    *,
    adapter: str | None = None,
    credit: str | None = None,
    told: Mapping[str, Any] | None = None,
    dialects: Sequence[str] = (),
    as_of: int | None = None,
) -> Recipe:
    """The same rollouts by another adapter, another rule, with spans read by others, or of the log at another position.

    What is `told` are options of the adapter; those that begin with `credit.` are its rule's.
    """
    as_of, told = as_of or base.as_of, told or {}
    name, options = base.adapter, dict(base.options or {})
    if adapter is not None:
        name, options = adapter, {}
    rule = {key.removeprefix("credit."): value for key, value in told.items() if key.startswith("credit.")}
    options |= {key: value for key, value in told.items() if not key.startswith("credit.")}
    if name == RULES:
        options = {**({"rule": credit} if credit else options), **rule}
    elif credit or rule:
        before = options.get("credit") if credit is None else None
        options["credit"] = {"name": RULES, **(before or {}), **({"rule": credit} if credit else {}), **rule}
    return replace(
        base, rollouts=there(log, base.rollouts, as_of), adapter=name, options=options, dialects=tuple(dialects),
        as_of=as_of, batch_id=None, position=None, formed=None,
    )  # fmt: skip


def there(log: SqliteLog, rollouts: Sequence[str], as_of: int) -> tuple[str, ...]:
    """Those that were enqueued by then."""
    sql = "select rollout_id from rollouts where position <= ? and rollout_id in (select value from json_each(?))"
    known = {id_ for (id_,) in log.rows(sql, (as_of, msgspec.json.encode(list(rollouts)).decode()))}
    return tuple(id_ for id_ in rollouts if id_ in known)


def _config(log: SqliteLog, run_id: str | None) -> RunConfig:
    for (position,) in log.rows("select position from runs where run_id = ?", (run_id,)):
        event = log.records([position])[position].event
        if isinstance(event, RunStarted):
            return event.config
    return RunConfig()
