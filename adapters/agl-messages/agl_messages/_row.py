"""Rows of words: what was said, which of it the policy said, and what it earned."""

from __future__ import annotations

from dataclasses import dataclass

from agl_core.events import Message, Tool

__all__ = ["Pair", "Transcript"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One conversation of a rollout, in OpenAI chat terms. Plain values: equal rows have equal JSON.

    A call's answer is learnt from in one transcript alone; where another one has it too, it is history there.
    """

    rollout_id: str
    attempt_id: str
    task_id: str
    run_id: str | None
    repeat: int
    agent: str | None
    """Whose conversation it is, where agents have names."""
    messages: tuple[Message, ...]
    """It ends with what the policy said."""
    trained: tuple[bool, ...]
    """One a message: whether it is the answer of one of the calls below."""
    tools: tuple[Tool, ...]
    """Those that every one of the calls was offered."""
    parallel_tool_calls: bool | None = None
    """Whether several calls of tools at once were allowed; null where the requests do not say."""
    call_ids: tuple[str, ...]
    """The calls whose answers are in it, in order."""
    reward: float | None
    """Final reward of the rollout, or the mean of what a rule gave the calls; null where there is none."""
    began: str
    """Why it begins here: `start` (nothing was said before), `call` (rows are calls), `choice` (another answer of the
    same call), `branched` (that history was continued once already), `other_tools`, `other_agent`, or
    `edited_history` (what was said before is no transcript's)."""

    def __post_init__(self) -> None:
        assert len(self.trained) == len(self.messages), "a flag for each message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two ways to go on from the same words, of which one earned more."""

    task_id: str
    agent: str | None
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    chosen_trained: tuple[bool, ...]
    """One a message of `chosen`: whether the policy said it."""
    rejected: tuple[Message, ...]
    rejected_trained: tuple[bool, ...]
    tools: tuple[Tool, ...]
    parallel_tool_calls: bool | None = None
    chosen_rollout: str
    chosen_calls: tuple[str, ...]
    chosen_reward: float
    rejected_rollout: str
    rejected_calls: tuple[str, ...]
    rejected_reward: float
