"""How an agent says that it came to another end than a good one, without failing."""

from __future__ import annotations

from typing import Any, Literal, get_args

from agl_core.errors import BadValue

__all__ = ["EndAttempt", "Said"]

Said = Literal["gave_up", "max_turns", "prompt_too_long", "tool_failed"]
"""Exit statuses that only the agent can know of."""


class EndAttempt(Exception):
    """Raised by an agent to end its attempt with an exit status: `raise agl.EndAttempt("max_turns", result=0.2)`.

    `gave_up`, `max_turns` and `prompt_too_long` are its policy's own ends and train on their reward; `tool_failed` is
    its environment's, and no fault of the policy. `why` is kept beside it. `result` is what the agent would have
    returned: a reward, a dict of them, or nothing where it was emitted, or is none.
    """

    def __init__(self, exit_status: Said, why: str = "", *, result: Any = None) -> None:
        if exit_status not in get_args(Said):
            raise BadValue("exit_status", exit_status, why=f"an agent may say {', '.join(get_args(Said))}")
        super().__init__(exit_status, why)
        self.exit_status, self.why, self.result = exit_status, why, result

    def __str__(self) -> str:
        return f"{self.exit_status}: {self.why}" if self.why else self.exit_status
