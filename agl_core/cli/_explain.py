"""`agl explain`: why a rollout, a call or a batch earned what it did; every number can be added again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import warn
from agl_core.cli._logs import find, open_log, position
from agl_core.cli._options import as_json, log_level, log_path
from agl_core.cli._tables import print_json
from agl_core.errors import AglError, BadValue, UnknownId

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.replay.recipes import Recipe

__all__ = ["explain"]

PARTLY = 3


@click.command()
@click.argument("what", metavar="ID")
@click.option("--adapter", metavar="NAME", help="By this adapter instead of the one that made the batch.")
@click.option("--credit", metavar="RULE", help="By this rule of `rewards`: final, sum, per_call, discounted, ...")
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE",
    help="An option of the adapter, or of its rule: credit.gamma=0.9; more than once if needed.",
)  # fmt: skip
@click.option("--as-of", metavar="POSITION", help="Of the log as it stood there, or as it stands `now`.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(min=0),
    help="So many rollouts of a batch, and calls, terms of a sum and rewards of each; 0 for all, and --json has all.",
)  # fmt: skip
@log_path
@as_json
@log_level
@click.pass_context
def explain(
    ctx: click.Context,
    *,
    what: str,
    adapter: str | None,
    credit: str | None,
    sets: Sequence[str],
    as_of: str | None,
    limit: int,
    log_path: str | None,
    as_json: bool,
) -> None:
    """Explain what a rollout, a call or a batch earned, and what became of a reward.

    ID is that of a rollout (ro-...), a call (ca-...), a batch (ba-...) or a reward, or how it begins; a reward stands
    for its rollout. Each batch that it is in is made again, by the adapter that made it, of the log as it stood then.
    What is in no batch is explained by its final reward. --adapter, --credit, --set and --as-of ask how else it would
    have been, and nothing is recorded.

    Exit code 3: the rows come out other than they were recorded, or a batch cannot be made again.
    """
    from agl_core.cli._assigned import assigned
    from agl_core.cli._explaining_shown import show
    from agl_core.replay.recipes import otherwise, recorded, supposed

    with open_log(log_path) as log:
        kind, id_, rollout_id = _meant(log, what)
        recipes = recorded(log, batch_id=id_ if kind == "batch" else None, rollout_id=rollout_id)
        if adapter or credit or sets or as_of is not None or not recipes:
            base = recipes[-1] if recipes else supposed(log, rollout_id or "")
            then = None if as_of is None else position(log, as_of, "--as-of") or log.head()
            said = assigned("--set", sets)
            recipes = [otherwise(log, base, adapter=adapter, credit=credit, told=said, as_of=then)]
            _refuse_too_early(recipes[0], rollout_id)
        call_id = id_ if kind == "call" else None
        told = list(_told(log, recipes, rollout_id=rollout_id, call_id=call_id, limit=0 if as_json else limit))
    if as_json:
        print_json({"kind": kind, "id": id_, "batches": told})
    else:
        for one in told:
            show(one, kind=kind, id_=id_, limit=limit)
    differing = [one["batch_id"] for one in told if one.get("agrees") is False]
    for batch_id in differing:
        warn(f"the rows of {batch_id} come out other than they were recorded: its adapter or its plugin has changed")
    failed = [one for one in told if "error" in one]
    for one in failed:
        warn(f"{one['batch_id']} cannot be made again: {one['error']['message']}")
    if failed or differing:
        ctx.exit(1 if len(failed) == len(told) else PARTLY)


def _told(
    log: SqliteLog, recipes: Sequence[Recipe], *, rollout_id: str | None, call_id: str | None, limit: int
) -> Iterator[dict[str, Any]]:
    """Each batch; one of several that cannot be made again says why."""
    from agl_core.cli._explaining_recipes import made
    from agl_core.cli._explaining_rows import batch, explained
    from agl_core.plugins import Plugins

    plugins = Plugins.load()
    for recipe in recipes:
        rollouts = recipe.rollouts[: limit or None] if rollout_id is None else (rollout_id,)
        try:
            yield explained(log, made(log, plugins, recipe), rollouts=rollouts, call_id=call_id)
        except AglError as error:
            if len(recipes) == 1:
                raise
            yield {**batch(recipe), "error": {"code": error.code, "message": str(error)}}


def _meant(log: SqliteLog, what: str) -> tuple[str, str, str | None]:
    """What kind of thing it is, its id, and the rollout it is in; none of a batch."""
    match what.partition("-")[0].lower():
        case "ba":
            return "batch", find(log, "batch", what), None
        case "ca":
            id_ = find(log, "call", what)
            return "call", id_, str(log.rows("select rollout_id from calls where call_id = ?", (id_,))[0][0])
        case "run" | "at" | "wk" | "rs" | "ck" | "ta" | "sp" as prefix:
            one_of = "name a rollout, a call, a batch or a reward"
            why = f"it is of something else: {one_of}; `agl runs show` lists a run's batches"
            raise BadValue(f"{prefix} id", what, why=why)
    try:
        id_ = find(log, "rollout", what)
    except UnknownId:
        rewards = _rewards(log, what)
        if not rewards:
            raise
        if len(rewards) > 1:
            raise BadValue("reward id", what, why=f"more than one begins so: {', '.join(rewards)}") from None
        ((id_, rollout_id),) = rewards.items()
        return "reward", id_, rollout_id
    return "rollout", id_, id_


def _rewards(log: SqliteLog, what: str) -> Mapping[str, str]:
    """Those that begin so, a few of them, with their rollouts."""
    sql = "select id, rollout_id from rewards where id between ? and ? order by id desc limit 5"
    return {str(id_): str(of) for id_, of in log.rows(sql, (what.lower(), f"{what.lower()}~"))} if what else {}


def _refuse_too_early(recipe: Recipe, rollout_id: str | None) -> None:
    if not recipe.rollouts or rollout_id not in {None, *recipe.rollouts}:
        raise BadValue("--as-of", recipe.as_of, why=f"{rollout_id or 'the batch'} was not in the log yet")
