"""`agl log diff`: what happened between two positions of a log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._logs import open_log, position
from agl_core.cli._options import as_json, log_level, log_path
from agl_core.cli._tables import print_json, print_table
from agl_core.errors import BadValue

if TYPE_CHECKING:
    from agl_core.log import SqliteLog

__all__ = ["diff", "differences"]

_BETWEEN = "position > :after and position <= :until"
_CHANGED = """
from rollouts now left join before.rollouts was using (rollout_id)
where (now.status, now.hidden) is not (was.status, was.hidden)
"""
_STATUS = "case {0}.hidden when 1 then 'deleted' else {0}.status end"
_WAS, _NOW = _STATUS.format("was"), _STATUS.format("now")
_SAID = "json_extract(data, '$.{}')"
_COUNTED = {
    "events": ("type, count(*) as count", f"from events where {_BETWEEN} group by type order by 2 desc, 1"),
    "rollouts": (f'{_WAS} as "from", {_NOW} as "to", count(*) as count', f"{_CHANGED} group by 1, 2 order by 3 desc"),
    "rewards": (
        "name, judge, count(*) as given, avg(value) as mean, sum(withdrawn) as withdrawn_since",
        f"from rewards where {_BETWEEN} group by 1, 2 order by 3 desc, 1, 2",
    ),
}
"""What there may be as much of as there are events is counted, and of some of it the first are shown."""
_LISTED = {
    "changed": (
        f'now.rollout_id, {_WAS} as "from", {_NOW} as "to", now.exit_status, now.run_id',
        f"{_CHANGED} order by now.position",
    ),
    "withdrawn": (
        "w.id as reward_id, w.rollout_id, w.name, w.value, e.position",
        (
            f"from events e join rewards w on w.id = {_SAID.format('reward')} "
            "where e.type = 'reward.withdrawn' and e.position > :after and e.position <= :until order by e.position"
        ),
    ),
    "runs": (
        f"{_SAID.format('run_id')} as run_id, type as what, position",
        (
            f"from events where type in ('run.started', 'run.resumed', 'run.stop_asked', 'run.finished', 'run.failed') "
            f"and {_BETWEEN} order by position"
        ),
    ),
    "published": (
        "resources_id || '@' || version as resource, parent, run_id, why, position",
        f"from resources where {_BETWEEN} order by position",
    ),
    "promoted": (
        (
            f"{_SAID.format('resources_id')} || '@' || {_SAID.format('version')} as resource, "
            f"{_SAID.format('run_id')} as run_id, {_SAID.format('why')} as why, position"
        ),
        f"from events where type = 'resources.promoted' and {_BETWEEN} order by position",
    ),
    "policies": ("policy, version, checkpoint, run_id, position", f"from policies where {_BETWEEN} order by position"),
    "batches": (
        "batch_id, adapter, rollouts, rows, kept, captured, run_id, position",
        f"from batches where {_BETWEEN} order by position",
    ),
}
_TITLES = {
    "events": "events, by type",
    "rollouts": "rollouts, by what became of them",
    "changed": "rollouts",
    "rewards": "rewards given",
    "withdrawn": "rewards withdrawn",
    "runs": "runs",
    "published": "resources published",
    "promoted": "resources promoted",
    "policies": "weights that a policy speaks with",
    "batches": "batches formed",
}


@click.command("diff")
@click.option("--from", "first", required=True, metavar="POSITION", help="As the log was there; 0 for its beginning.")
@click.option("--to", "last", default="now", show_default=True, metavar="POSITION", help="As the log was there.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(min=0),
    help="So many of each list, the first; 0 for all. What is counted is counted whole.",
)  # fmt: skip
@log_path
@as_json
@log_level
def diff(*, first: str, last: str, limit: int, log_path: str | None, as_json: bool) -> None:
    """Say what happened between two positions: events, runs, rollouts, rewards, resources, policies.

    What stands at --from has happened before. The tables of the log are folded as they were there, some thousands of
    events a second.
    """
    with open_log(log_path, projections=True) as log:
        until = position(log, last, "--to") or log.head()
        after = 0 if first.strip() == "0" else (position(log, first, "--from") or log.head())
        if after > until:
            raise BadValue("--from", after, why=f"--to is {until}, which comes before: put the earlier one first")
        found = differences(log, after=after, until=until, limit=limit)
    if as_json:
        print_json(found)
    else:
        _show(found)


def differences(log: SqliteLog, *, after: int, until: int, limit: int = 0) -> dict[str, Any]:
    """All of it; of each list so many, and how many there are. In constant memory but for these."""
    found: dict[str, Any] = {"from": after, "to": until}
    with _both(log, after=after, until=until) as db:
        given = {"after": after, "until": until}
        for name, (columns, rest) in _COUNTED.items():
            found[name] = _rows(db, f"select {columns} {rest}", given)
        for name, (columns, rest) in _LISTED.items():
            listed = _rows(db, f"select {columns} {rest} limit :limit", given | {"limit": limit or -1})
            total = db.execute(f"select count(*) from (select 1 {rest})", given).fetchone()[0]  # noqa: S608 - our own
            found[name] = {"count": total, "first": listed}
    return found


@contextmanager
def _both(log: SqliteLog, *, after: int, until: int) -> Iterator[sqlite3.Connection]:
    """A connection to the later one, which has the tables of the earlier one by the name of `before`."""
    earlier = log.at(after)
    earlier.rows("select 1")  # folds them
    with log.at(until).reading() as db:
        db.execute("attach ? as before", (f"{earlier.tables.as_uri()}?mode=ro",))
        try:
            yield db
        finally:
            db.execute("detach before")


def _rows(db: sqlite3.Connection, sql: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    cursor = db.execute(sql, given)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _show(found: Mapping[str, Any]) -> None:
    happened = sum(one["count"] for one in found["events"])
    click.echo(f"from {found['from']} to {found['to']}: {happened} events")
    for name, title in _TITLES.items():
        listed = found[name]
        rows, total = (listed["first"], listed["count"]) if isinstance(listed, dict) else (listed, len(listed))
        if not rows:
            continue
        click.echo(f"\n{title}" + (f" ({total})" if isinstance(listed, dict) else ""))
        print_table([*rows[0]], [tuple(row.values()) for row in rows])
        if total > len(rows):
            click.echo(f"{len(rows)} of {total}: --limit 0 shows all", err=True)
