"""Replay: what a log remembers, made again: as rows, as scores, or by the agent's own code. Never blurred."""

from __future__ import annotations

__all__: list[str] = []
