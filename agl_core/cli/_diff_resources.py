"""Two versions of resources, also of two logs: as `agl resources diff` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agl_core.cli._diff_sides import Thing

__all__ = ["compared_resources"]


def compared_resources(a: Thing, b: Thing) -> dict[str, Any]:
    """What changed, and what that earned on the tasks that both were scored on."""
    from agl_core.cli._resources_diff import differences
    from agl_core.cli._resources_earned import compared, earned
    from agl_core.cli._resources_meant import meant, named

    before, after = meant(a.log, a.id), meant(b.log, b.id)
    (scores_a,) = earned(a.log, [(before.resources_id, before.version)]).values()
    (scores_b,) = earned(b.log, [(after.resources_id, after.version)]).values()
    resources = differences(before, after)
    return {
        "same": not resources,
        "before": named(before),
        "after": named(after),
        "resources": resources,
        "earned": compared(scores_a, scores_b) if resources else [],
    }
