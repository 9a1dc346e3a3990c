"""Replay: what a log remembers, made again: as rows, as scores, or by the agent's own code. Never blurred."""

from __future__ import annotations

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
