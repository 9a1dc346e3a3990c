"""Agents: a function with a decorator, or a class; neither knows who runs it."""

from __future__ import annotations

from agl_core.agents._decorators import FunctionalLitAgent, llm_rollout, prompt_rollout, rollout
from agl_core.agents._litagent import LitAgent, Result

__all__ = ["FunctionalLitAgent", "LitAgent", "Result", "llm_rollout", "prompt_rollout", "rollout"]
