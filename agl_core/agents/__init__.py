"""Agents: a function with a decorator, or a class; neither knows who runs it."""

from __future__ import annotations

from agl_core.agents._decorators import FunctionalLitAgent, llm_rollout, prompt_rollout, rollout
from agl_core.agents._ending import EndAttempt, Said
from agl_core.agents._finding import find_agent, import_path
from agl_core.agents._litagent import LitAgent, Result
from agl_core.agents._types import Dataset, RolloutMode, RolloutRawResult, TaskInput

__all__ = [
    "Dataset",
    "EndAttempt",
    "FunctionalLitAgent",
    "LitAgent",
    "Result",
    "RolloutMode",
    "RolloutRawResult",
    "Said",
    "TaskInput",
    "find_agent",
    "import_path",
    "llm_rollout",
    "prompt_rollout",
    "rollout",
]
