"""Group-relative policy optimisation: several attempts at each task, each rewarded against the others of its group."""

from __future__ import annotations

from collections.abc import Mapping

from agl_core.hookspecs import hookimpl
from agl_grpo._algorithm import Grpo, GrpoConfig

__all__ = ["Grpo", "GrpoConfig", "agl_register_algorithms"]


@hookimpl
def agl_register_algorithms() -> Mapping[str, type[Grpo]]:
    """`grpo`, under that name; torch is imported when it runs."""
    return {"grpo": Grpo}
