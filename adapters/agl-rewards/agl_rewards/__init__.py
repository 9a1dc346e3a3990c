"""Credit assignment: what each call earned, and the sum it comes from."""

from __future__ import annotations

from collections.abc import Mapping

from agl_core.hookspecs import hookimpl
from agl_rewards._group_relative import Group
from agl_rewards._rewards import Rewards

__all__ = ["Group", "Rewards", "agl_register_adapters"]


@hookimpl
def agl_register_adapters() -> Mapping[str, type[Rewards]]:
    """`rewards`, under that name."""
    return {"rewards": Rewards}
