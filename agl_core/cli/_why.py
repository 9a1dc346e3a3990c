"""`agl why`: what led to a thing, fact by fact, back to the first cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._logs import find, open_log
from agl_core.cli._options import as_json, at, log_level, log_path
from agl_core.cli._tables import print_json
from agl_core.errors import BadValue, UnknownId

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.record import Record

__all__ = ["why"]

_LAST_OF_ROLLOUT = (
    "rollout.finished", "rollout.cancelled", "rollout.deleted", "attempt.finished", "attempt.expired",
    "attempt.started", "rollout.enqueued",
)  # fmt: skip
_LAST_OF_RUN = ("run.finished", "run.failed", "run.stop_asked", "run.started")
_NAMED = "name a run, a rollout, a resource, a batch, a call or a reward"


@click.command()
@click.argument("what", metavar="ID")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=0),
    help="So many steps, those at both ends; 0 for all, and --json has all.",
)  # fmt: skip
@at
@log_path
@as_json
@log_level
def why(*, what: str, limit: int, at: str | None, log_path: str | None, as_json: bool) -> None:
    """Walk back from a thing to its first cause: what led to it, and to that, and where.

    ID is that of a rollout (ro-...), a version of resources (rs-...@3; without a version, what was promoted), a batch
    (ba-...), a run (run-...), a call (ca-...) or a reward, or how it begins.
    """
    from agl_core.cli._why_chain import chain

    with open_log(log_path, at=at) as log:
        kind, id_, record = _meant(log, what)
        steps = [step.to_json() for step in chain(log, record)]
    if as_json:
        print_json({"kind": kind, "id": id_, "chain": steps})
    else:
        _show(steps, limit)


def _show(steps: list[dict[str, Any]], limit: int) -> None:
    width = max(len(str(step["position"])) for step in steps)
    left_out = len(steps) - limit if limit else 0
    before = None
    for number, step in enumerate(steps):
        if left_out > 0 and limit - 1 <= number < len(steps) - 1:
            if number == limit - 1:
                click.echo(f"{'':>{width}}  ... {left_out} steps more: --limit 0 shows all")
            before = None
            continue
        explains = step["explains"]
        because = "because " if explains is not None else ""
        whose = f" (led to {explains})" if explains not in {None, before} else ""
        click.echo(f"{step['position']:>{width}}  {because}{step['what']}{whose}")
        before = step["position"]


def _meant(log: SqliteLog, what: str) -> tuple[str, str, Record]:
    """What kind of thing it is, its id, and the fact to begin with."""
    prefix = what.partition("-")[0].lower()
    match prefix:
        case "rs":
            return _resource(log, what)
        case "run":
            id_ = find(log, "run", what)
            return "run", id_, _last(log, f"run/{id_}", _LAST_OF_RUN)
        case "ba":
            id_ = find(log, "batch", what)
            return "batch", id_, _row(log, "select position from batches where batch_id = ?", id_)
        case "ca":
            id_ = find(log, "call", what)
            return "call", id_, _row(log, "select position from calls where call_id = ?", id_)
        case "at" | "wk" | "ck" | "ta" | "sp":
            raise BadValue(f"{prefix} id", what, why=f"it is of something else: {_NAMED}")
    try:
        id_ = find(log, "rollout", what)
    except UnknownId:
        if (found := _reward(log, what)) is None:
            raise
        return "reward", found, _row(log, "select position from rewards where id = ?", found)
    return "rollout", id_, _last(log, f"rollout/{id_}", _LAST_OF_ROLLOUT)


def _resource(log: SqliteLog, what: str) -> tuple[str, str, Record]:
    from agl_core.cli._resources_meant import meant, named
    from agl_core.store import Queries

    bundle = meant(log, what)
    promoted = [one.position for one in Queries(log).promotions(resources_id=bundle.resources_id)
                if one.version == bundle.version]  # fmt: skip
    if promoted:
        return "resource", named(bundle), log.records([promoted[-1]])[promoted[-1]]
    sql = "select position from resources where resources_id = ? and version = ?"
    return "resource", named(bundle), _row(log, sql, bundle.resources_id, bundle.version)


def _reward(log: SqliteLog, what: str) -> str | None:
    sql = "select id from rewards where id between ? and ? order by id desc limit 5"
    found = [str(id_) for (id_,) in log.rows(sql, (what.lower(), f"{what.lower()}~"))] if what else []
    if len(found) > 1:
        raise BadValue("reward id", what, why=f"more than one begins so: {', '.join(found)}")
    return found[0] if found else None


def _row(log: SqliteLog, sql: str, *given: object) -> Record:
    position = log.rows(sql, given)[0][0]
    return log.records([position])[position]


def _last(log: SqliteLog, stream: str, types: tuple[str, ...]) -> Record:
    """The last fact of the most final of those types."""
    sql = "select position from events where stream = ? and type = ? order by version desc limit 1"
    found = next(rows[0][0] for type_ in types if (rows := log.rows(sql, (stream, type_))))
    return log.records([found])[found]
