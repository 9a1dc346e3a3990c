"""Two sides task by task: who won, by how much, how sure that is, and which tasks only one of them has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["is_same", "paired"]


def paired(
    a: Mapping[str, float], b: Mapping[str, float], *, all_a: Collection[str] = (), all_b: Collection[str] = ()
) -> dict[str, Any]:
    """Of two means by task: the paired difference B - A with its interval, and each task that got worse, or better,
    the most first. `all_a` and `all_b` are the tasks there are, also those without a number: not one is left out
    unsaid."""  # noqa: D205, D209 - one paragraph
    from agl_core.cli._resources_earned import difference
    from agl_core.run import Estimate

    every_a, every_b = (dict.fromkeys([*values, *others]) for values, others in ((a, all_a), (b, all_b)))
    both = [task for task in a if task in b]
    changes = {task: b[task] - a[task] for task in both}
    estimate, interval = difference([*changes.values()])
    worst = sorted(both, key=lambda task: changes[task])

    def told(task: str) -> dict[str, Any]:
        return {"task": task, "a": a[task], "b": b[task], "change": changes[task]}

    return {
        "tasks": len(both),
        "a": Estimate.of([a[task] for task in both]).to_json(),
        "b": Estimate.of([b[task] for task in both]).to_json(),
        "difference": estimate.to_json() if both else None,
        "interval": interval,
        "won": sum(change > 0 for change in changes.values()),
        "lost": sum(change < 0 for change in changes.values()),
        "tied": sum(change == 0 for change in changes.values()),
        "regressions": [told(task) for task in worst if changes[task] < 0],
        "improvements": [told(task) for task in reversed(worst) if changes[task] > 0],
        "only_a": [task for task in every_a if task not in every_b],
        "only_b": [task for task in every_b if task not in every_a],
        "without_a_number": [task for task in every_a if task in every_b and task not in changes],
    }


def is_same(found: Mapping[str, Any]) -> bool:
    """Whether both have the same tasks, and the same number for each."""
    return not (found["won"] or found["lost"] or found["only_a"] or found["only_b"])
