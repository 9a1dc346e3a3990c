"""Traces into training rows: one a call, or one a trajectory, and a reason for every call that became none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.hookspecs import hookimpl
from agl_triplets._difference import Difference, difference
from agl_triplets._matching import RewardMatchPolicy
from agl_triplets._matching_credit import Matched
from agl_triplets._row import Row, Turn, turns
from agl_triplets._triplets import Triplets
from agl_triplets._v03 import TracerTraceToTriplet, Triplet
from agl_triplets._v03_proxy import LlmProxyTraceToTriplet

__all__ = [
    "Difference",
    "LlmProxyTraceToTriplet",
    "Matched",
    "RewardMatchPolicy",
    "Row",
    "TracerTraceToTriplet",
    "Triplet",
    "Triplets",
    "Turn",
    "agl_register_adapters",
    "difference",
    "turns",
]


@hookimpl
def agl_register_adapters() -> Mapping[str, type[Any]]:
    """`triplets`; those of Agent Lightning v0.3, and its way to match rewards with calls, as a credit."""
    kinds = (Triplets, TracerTraceToTriplet, LlmProxyTraceToTriplet, Matched)
    return {kind.name: kind for kind in kinds}
