"""Automatic prompt optimisation: prompts that are criticised, edited, and kept when they are better."""

from __future__ import annotations

__all__: list[str] = []
