"""Automatic prompt optimisation: prompts that are criticised, edited, and kept when they are better."""

from __future__ import annotations

from collections.abc import Mapping

from agl_apo._algorithm import Apo, ApoConfig
from agl_core.hookspecs import hookimpl

__all__ = ["Apo", "ApoConfig", "agl_register_algorithms"]


@hookimpl
def agl_register_algorithms() -> Mapping[str, type[Apo]]:
    """`apo`, under that name."""
    return {"apo": Apo}
