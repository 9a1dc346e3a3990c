"""`agl replay ROLLOUT --fork-at STEP`: the same until there, and live from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import warn

if TYPE_CHECKING:
    from agl_core.replay import Branch, Changes, Fork

__all__ = ["fork"]

_ELSEWHERE = {
    "adapter": "--adapter says what --mode project makes",
    "credit": "--credit says what --mode project makes",
    "judges": "--judge says who judges in --mode score",
    "stepwise": "--step stops at each call of --mode execute",
}
"""Options of the other ways, and what they are for."""


def fork(
    *,
    target: str,
    fork_at: int,
    forks: int,
    sets: Sequence[str],
    models: Sequence[str],
    agent: str | None,
    tools: Sequence[str],
    ignore: Sequence[str],
    strict: bool,
    at: int | None,
    into: Path | None,
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **others: Any,
) -> None:
    """Answer its first calls from the log and ask models from there; exit with 1 where a fork departed before it."""
    from agl_core.cli._again import chosen, drive_again, own_log, tell, warn_of_changes
    from agl_core.cli._driving import named_models
    from agl_core.cli._logs import find, open_log
    from agl_core.events import Component
    from agl_core.ids import new_id
    from agl_core.plugins import Plugins
    from agl_core.replay import (
        Fork,
        Forked,
        ForkedConfig,
        ForkRunner,
        Past,
        Told,
        agent_of,
        changes,
        original,
        tool_ways,
    )

    for name, said in _ELSEWHERE.items():
        if others.get(name):
            raise click.UsageError(f"{said}, and --fork-at goes on live")
    given = named_models(models)
    with open_log(log_path) as log:
        rollout_id = find(log, "rollout", target)
        found = original(log, rollout_id)
        past = Past.of(log, rollout_id, fork_at, until=at)
    changed = changes(found.resources, sets, models=given)
    code = chosen(agent, found)
    told = Told(
        explained=changed.explained(found.resources),
        ways=tool_ways(tools),
        ignore=ignore,
        strict=strict,
        redact=Plugins.load().redact,
    )
    forked, run_id = Fork(past, told), new_id("run")
    config = ForkedConfig(
        source=found.source,
        rollout_id=rollout_id,
        times=forks,
        others=tuple(given),
        fork_at=fork_at,
        changed=changed.to_json(),
    )
    options = {"ignore": list(ignore), "strict": strict, "tools": dict(told.ways)}
    runner = ForkRunner(forked, agent=Component(name=agent or agent_of(found)), changes=changed, options=options)
    warn_of_changes(found, given)
    place = own_log(found, into, run_id)
    drive_again(
        found,
        Forked(config, found=found, fork=forked, changes=changed),
        code,
        run_id=run_id,
        into=place,
        models=given,
        times=forks,
        quiet=quiet,
        can_resume=False,
        memory=forked,
        runner=runner,
        sampling=changed.sampled,
    )
    _warn_unseen(forked, changed)
    prefixes = {prefix for branch in forked.branches if (prefix := branch.prefix()) is not None}
    head = {
        "fork_at": fork_at,
        "prefix": sorted(prefixes),
        "changed": changed.to_json() if as_json else changed.told(),
    }
    of_each = {branch.rollout_id: _of(branch) for branch in forked.branches}
    tell(found, place, models=given, as_json=as_json, head=head, of_each=of_each)


def _of(branch: Branch) -> dict[str, Any]:
    outcome = "departed" if branch.departed.done() else "forked"
    return {"outcome": outcome, "recorded": len(branch.past.ids) - len(branch.unasked()), "live": branch.live}


def _warn_unseen(forked: Fork, changed: Changes) -> None:
    """Say so where what was set never came to be asked."""
    if changed.resources and forked.past.count and not any(branch.shows_change for branch in forked.branches):
        names = ", ".join(sorted(changed.resources))
        warn(f"no request up to the fork shows what was set of {names}: does the agent use it?")
