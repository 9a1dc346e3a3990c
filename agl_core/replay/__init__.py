"""Replay: what a log remembers, made again: as rows, as scores, or by the agent's own code. Never blurred."""

from __future__ import annotations

from agl_core.replay._again import Again, AgainConfig, bound
from agl_core.replay._original import Original, Spoke, agent_of, original

__all__ = ["Again", "AgainConfig", "Original", "Spoke", "agent_of", "bound", "original"]
