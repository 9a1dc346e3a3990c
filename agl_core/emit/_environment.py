"""What a program that knows nothing of us reads from its environment."""

from __future__ import annotations

from typing import Any

from agl_core.ids import canonical
from agl_core.recorder import current
from agl_core.resources import LLM

__all__ = ["environment"]


def environment(llm: LLM | None, task: Any = None) -> dict[str, str]:
    """Variables that point a program which knows nothing of us at `llm`, for the attempt under way.

    `subprocess.run(..., env={**os.environ, **agl.environment(llm, task)})`: what OpenAI's and Anthropic's libraries
    read, and `AGL_ROLLOUT_ID`, `AGL_ATTEMPT_ID`, `AGL_AGENT`, `AGL_TASK` (JSON). Without an `llm` the program keeps its
    own; run by `python -m agl_core.tap`, it finds the log in `AGL_LOG`. Raises `OutsideAttempt`.
    """
    scope = current("an environment")
    variables = {"AGL_LOG": scope.recorder.url, "AGL_ROLLOUT_ID": scope.rollout_id, "AGL_ATTEMPT_ID": scope.attempt_id}
    if llm is not None:
        base, key = llm.get_base_url().rstrip("/"), llm.api_key or "none"
        variables |= {
            "OPENAI_BASE_URL": base,
            "OPENAI_API_BASE": base,
            "OPENAI_API_KEY": key,
            "ANTHROPIC_BASE_URL": base.removesuffix("/v1"),
            "ANTHROPIC_API_KEY": key,
        }
    if scope.run_id is not None:
        variables["AGL_RUN_ID"] = scope.run_id
    if scope.agent is not None:
        variables["AGL_AGENT"] = scope.agent
    if task is not None:
        variables["AGL_TASK"] = canonical(task).decode()
    return variables
