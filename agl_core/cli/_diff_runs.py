"""Two runs: what they were told, and what their rollouts earned, task by task, on each split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agl_core.cli._diff_tasks import is_same, paired

if TYPE_CHECKING:
    from agl_core.cli._diff_sides import Thing
    from agl_core.cli._resources_earned import Earned

__all__ = ["compared_runs"]

_SETTINGS = (
    "agent", "algorithm", "config", "models", "seed", "deterministic", "select", "failures", "judges", "budget",
)  # fmt: skip
"""What a run was told: shown where it differs, and no difference of what came of it."""
_FACTS = ("status", "rollouts")
_OF_INPUT = 100


def compared_runs(a: Thing, b: Thing) -> dict[str, Any]:
    """The mean of a task is over all its rollouts that count and were scored."""
    from agl_core.cli._resources_earned import earned_by_run
    from agl_core.cli._stories import told

    told_a, told_b = (told(thing.log, thing.id) for thing in (a, b))
    settings, facts = (
        [{"what": name, "a": told_a[name], "b": told_b[name]} for name in names if told_a[name] != told_b[name]]
        for names in (_SETTINGS, _FACTS)
    )
    splits_a, splits_b = ({str(one.mode): one for one in earned_by_run(thing.log, thing.id)} for thing in (a, b))
    splits = [_split(name, splits_a.get(name), splits_b.get(name)) for name in dict.fromkeys([*splits_a, *splits_b])]
    inputs = {**_inputs(b, splits_b.values(), splits), **_inputs(a, splits_a.values(), splits)}
    return {
        "same": not facts and all(is_same(split) for split in splits),
        "settings": settings,
        "facts": facts,
        "splits": splits,
        "inputs": inputs,
    }


def _split(name: str, a: Earned | None, b: Earned | None) -> dict[str, Any]:
    values, tasks = (
        [{} if one is None else one.by_task for one in (a, b)],
        [[] if one is None else [outcome.task_id for outcome in one.outcomes] for one in (a, b)],
    )
    return {"split": name, **paired(*values, all_a=tasks[0], all_b=tasks[1])}


def _inputs(thing: Thing, found: Any, splits: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the tasks are that are named, by their ids: how they begin."""
    from agl_core.store import Queries

    named = {task for split in splits for kind in ("only_a", "only_b", "without_a_number") for task in split[kind]}
    named |= {one["task"] for split in splits for kind in ("regressions", "improvements") for one in split[kind]}
    having = {outcome.task_id: outcome.rollout_id for one in found for outcome in one.outcomes}
    ask = Queries(thing.log)
    rollouts = ask.made(ask.rollout_rows([having[task] for task in sorted(named) if task in having]))
    tasks = {rollout_id: task for task, rollout_id in having.items()}
    return {tasks[rollout.rollout_id]: _short(rollout.input) for rollout in rollouts}


def _short(given: Any) -> str:
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, sort_keys=True, default=str)
    return text if len(text) <= _OF_INPUT else f"{text[: _OF_INPUT - 3]}..."
