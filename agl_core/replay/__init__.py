"""Replay: what a log remembers, made again: as rows, as scores, or by the agent's own code. Never blurred."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agl_core.replay._again import Again, AgainConfig
    from agl_core.replay._changes import Changes, changes
    from agl_core.replay._fork import Branch, Fork, Past, Told
    from agl_core.replay._forked import Forked, ForkedConfig, ForkRunner
    from agl_core.replay._original import Original, Spoke, agent_of, original
    from agl_core.replay._recording import Recording
    from agl_core.replay._replaying import replay, replaying, replaying_run
    from agl_core.replay._session import Options, Replayed
    from agl_core.replay._tools import tool_ways

__all__ = [
    "Again",
    "AgainConfig",
    "Branch",
    "Changes",
    "Fork",
    "ForkRunner",
    "Forked",
    "ForkedConfig",
    "Options",
    "Original",
    "Past",
    "Recording",
    "Replayed",
    "Spoke",
    "Told",
    "agent_of",
    "changes",
    "original",
    "replay",
    "replaying",
    "replaying_run",
    "tool_ways",
]

_HOME = {
    "_again": ("Again", "AgainConfig"),
    "_changes": ("Changes", "changes"),
    "_fork": ("Branch", "Fork", "Past", "Told"),
    "_forked": ("Forked", "ForkedConfig", "ForkRunner"),
    "_original": ("Original", "Spoke", "agent_of", "original"),
    "_recording": ("Recording",),
    "_replaying": ("replay", "replaying", "replaying_run"),
    "_session": ("Options", "Replayed"),
    "_tools": ("tool_ways",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: rows are made again without a gateway, and explained without a runner."""
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE[name]}"), name)
