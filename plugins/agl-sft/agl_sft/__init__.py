"""Supervised fine-tuning: a policy learns from the best of its own rollouts."""

from __future__ import annotations

__all__: list[str] = []
