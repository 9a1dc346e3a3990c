"""Two batches: how they were made, and their rows, made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agl_core.cli._diff_rows import Rows, compared_rows

if TYPE_CHECKING:
    from agl_core.cli._diff_sides import Thing
    from agl_core.plugins import Plugins

__all__ = ["compared_batches"]

_FACTS = ("by", "select", "failures", "rollouts", "captured", "kept", "dropped", "masked", "zeroed", "unmatched")


def compared_batches(a: Thing, b: Thing) -> dict[str, Any]:
    """Raises what keeps one of them from being made again."""
    from agl_core.plugins import Plugins

    plugins = Plugins.load()
    (facts_a, rows_a), (facts_b, rows_b) = (_made(thing, plugins) for thing in (a, b))
    facts = [
        {"what": name, "a": facts_a[name], "b": facts_b[name]} for name in _FACTS if facts_a[name] != facts_b[name]
    ]
    found = compared_rows(rows_a, rows_b)
    return {**found, "same": found["same"] and not facts, "facts": facts}


def _made(thing: Thing, plugins: Plugins) -> tuple[dict[str, Any], Rows]:
    from agl_core.cli._replay_project import line
    from agl_core.replay.projection import Projection, spoken
    from agl_core.replay.recipes import recorded

    (recipe,) = recorded(thing.log, batch_id=thing.id)
    made = Projection(thing.log, plugins, recipe)
    rows = Rows.of(map(line, made))
    facts = {"by": spoken(made.adapter), "select": recipe.select, "failures": recipe.failures, **made.told()}
    return facts, rows
