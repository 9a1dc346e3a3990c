"""Replay: what a log remembers, made again: as rows, as scores, or by the agent's own code. Never blurred."""

from __future__ import annotations

from agl_core.replay._again import Again, AgainConfig
from agl_core.replay._changes import Changes, changes
from agl_core.replay._fork import Branch, Fork, Past, Told
from agl_core.replay._forked import Forked, ForkedConfig, ForkRunner
from agl_core.replay._original import Original, Spoke, agent_of, original

__all__ = [
    "Again",
    "AgainConfig",
    "Branch",
    "Changes",
    "Fork",
    "ForkRunner",
    "Forked",
    "ForkedConfig",
    "Original",
    "Past",
    "Spoke",
    "Told",
    "agent_of",
    "changes",
    "original",
]
