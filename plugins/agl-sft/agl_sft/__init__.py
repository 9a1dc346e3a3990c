"""Rejection-sampling fine-tuning: a policy learns from the best of its own rollouts, or of those of a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.hookspecs import hookimpl
from agl_sft._algorithm import Sft, SftConfig
from agl_sft._chosen import Chosen

__all__ = ["Chosen", "Sft", "SftConfig", "agl_register_adapters", "agl_register_algorithms"]


@hookimpl
def agl_register_algorithms() -> Mapping[str, type[Sft]]:
    """`sft`, under that name; torch and TRL are imported when it runs."""
    return {Sft.name: Sft}


@hookimpl
def agl_register_adapters() -> Mapping[str, type[Any]]:
    """`chosen`, the credit of rollouts that are learnt from."""
    return {Chosen.name: Chosen}
