"""Automatic prompt optimisation: prompts that are criticised, edited, and kept when they are better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_apo._algorithm import Apo, ApoConfig
from agl_apo._pareto import Pareto, ParetoConfig
from agl_core.hookspecs import hookimpl

__all__ = ["Apo", "ApoConfig", "Pareto", "ParetoConfig", "agl_register_algorithms"]


@hookimpl
def agl_register_algorithms() -> Mapping[str, type[Any]]:
    """Two searches over the same parts: `apo` holds a beam, `pareto` a pool."""
    return {"apo": Apo, "pareto": Pareto}
