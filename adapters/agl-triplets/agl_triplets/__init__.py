"""Traces into training rows: one a call, or one a trajectory, and a reason for every call that became none."""

from __future__ import annotations

from collections.abc import Mapping

from agl_core.hookspecs import hookimpl
from agl_triplets._difference import Difference, difference
from agl_triplets._row import Row, Turn, turns
from agl_triplets._triplets import Triplets

__all__ = ["Difference", "Row", "Triplets", "Turn", "agl_register_adapters", "difference", "turns"]


@hookimpl
def agl_register_adapters() -> Mapping[str, type[Triplets]]:
    """`triplets`, under that name."""
    return {"triplets": Triplets}
