"""What pre-flight finds: a run that would end with nothing learned, told before money is spent."""

from __future__ import annotations

from typing import Any

from agl_core.errors._base import AglError

__all__ = [
    "AgentFailed",
    "AgentHangs",
    "CallsFailed",
    "GroupTooSmall",
    "NoExploration",
    "PlaceholderMissing",
    "PreflightError",
    "RewardConstant",
    "SplitsOverlap",
    "UnattributedCall",
]


class PreflightError(AglError):
    """A run as it stands would learn nothing, or something false."""

    code = "PREFLIGHT_ERROR"

    def __init__(self, message: str, **facts: Any) -> None:
        page = self.code.lower().replace("_", "-")
        super().__init__(f"{message}. See docs/how-to/cures/{page}.md", **facts)


class AgentFailed(PreflightError):
    """The agent came to no end of its own, time after time."""

    code = "AGENT_FAILED"

    def __init__(self, attempts: int, *, why: str, example: str) -> None:
        super().__init__(
            f"the first {attempts} attempt(s) failed (last: {example}: {why}): mend the agent, and try it on one task "
            "with `agl doctor MODULE:AGENT --tasks FILE`",
            attempts=attempts,
            why=why,
            example=example,
        )


class AgentHangs(PreflightError):
    """The agent was stopped by its time-out, and earned nothing."""

    code = "AGENT_HANGS"

    def __init__(self, rollout_id: str, *, why: str) -> None:
        super().__init__(
            f"rollout {rollout_id} did not end: {why}. Give model calls and tools time-outs of their own, or the "
            "rollout more time (`--timeout`)",
            rollout_id=rollout_id,
            why=why,
        )


class UnattributedCall(PreflightError):
    """Model calls were seen, and nobody can say of which rollout."""

    code = "UNATTRIBUTED_CALL"

    def __init__(self, calls: int, *, example: str) -> None:
        super().__init__(
            f"{calls} model call(s) were seen while rollout {example} ran, and none belongs to it: ask the model at "
            "`llm.endpoint` with `llm.api_key`, or start threads in the agent's context (`asyncio.to_thread`, "
            "`contextvars.copy_context().run`)",
            calls=calls,
            example=example,
        )


class CallsFailed(PreflightError):
    """The agent asked the model, was refused each time, and went on as if it had been answered."""

    code = "CALLS_FAILED"

    def __init__(self, calls: int, *, why: str, example: str) -> None:
        super().__init__(
            f"all {calls} model call(s) of rollout {example} failed ({why}), and the agent ended all the same: mend "
            "what the model refuses, and let the agent raise what it cannot answer",
            calls=calls,
            why=why,
            example=example,
        )


class RewardConstant(PreflightError):
    """Every rollout earned the same: there is nothing to tell better from worse by."""

    code = "REWARD_CONSTANT"

    def __init__(self, rollouts: int, *, value: str) -> None:
        super().__init__(
            f"{rollouts} rollouts all have reward {value}: look at what the reward compares (a parser that never "
            "matches, an exception that becomes 0), or choose tasks that are neither all solved nor all hopeless",
            rollouts=rollouts,
            value=value,
        )


class SplitsOverlap(PreflightError):
    """Two of train, val and test share tasks."""

    code = "SPLITS_OVERLAP"

    def __init__(self, tasks: int, *, splits: str, example: str) -> None:
        super().__init__(
            f"{splits} share {tasks} task(s) (one is {example}): what they measure is memory: take them out of one",
            tasks=tasks,
            splits=splits,
            example=example,
        )


class PlaceholderMissing(PreflightError):
    """A prompt template has a hole that the agent does not fill."""

    code = "PLACEHOLDER_MISSING"

    def __init__(self, name: str, *, given: str) -> None:
        super().__init__(
            f"the prompt template asks for {name}, and the agent fills {given}: rename it in the template, or pass it "
            "to `prompt_template.format(...)`",
            name=name,
            given=given,
        )


class GroupTooSmall(PreflightError):
    """A group has nobody to be compared with."""

    code = "GROUP_TOO_SMALL"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"a group of {size} is compared with nobody, so that every advantage is 0: set `group_size` to 2 or more "
            "(8 is usual)",
            size=size,
        )


class NoExploration(PreflightError):
    """Every sample of a task is the same, so that none is better."""

    code = "NO_EXPLORATION"

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} asks for temperature 0: samples of one task are equal, and nothing can be learned from comparing "
            "them; train at temperature 1, and keep 0 for `--sampling val.temperature=0`",
            where=where,
        )
