"""Rollouts and their attempts: a task handed out, tried, and settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from agl_core.errors import BadValue
from agl_core.events._base import Event, Pooled, event

__all__ = [
    "INFRASTRUCTURE",
    "POLICY",
    "AttemptExpired",
    "AttemptFinished",
    "AttemptStarted",
    "AttemptUpdated",
    "ExitStatus",
    "Mode",
    "RolloutCancelled",
    "RolloutConfig",
    "RolloutDeleted",
    "RolloutEnqueued",
    "RolloutFinished",
    "RolloutUpdated",
    "Treatment",
    "masked",
    "owner",
]

Mode = Literal["train", "val", "test"]

ExitStatus = Literal[
    "completed", "gave_up", "prompt_too_long", "max_turns", "timeout",
    "tool_failed",
    "unresponsive", "worker_lost", "endpoint_down", "stalled",
    "agent_raised", "capture_lost",
]  # fmt: skip

POLICY = frozenset({"completed", "gave_up", "prompt_too_long", "max_turns", "timeout"})
"""Outcomes the policy caused: they train on their reward."""
INFRASTRUCTURE = frozenset({"unresponsive", "worker_lost", "endpoint_down", "stalled"})
_FRAMEWORK = frozenset({"agent_raised", "capture_lost"})
Treatment = Literal["train", "zero", "mask", "unscored"]
"""What a run does with a rollout that came to an end: it counts with its reward; with a zero, because nobody gave it
one; or not at all, for how it ended, or because nobody scored it."""
_RETRIED = frozenset({*get_args(ExitStatus), "failed", "infrastructure"}) - {"completed"}
"""What a retry condition may name; the statuses of Agent Lightning that are not ours are `failed` and no other."""


def owner(status: str) -> str:
    """Who caused an exit status: `policy`, `environment`, `infrastructure` or `framework`."""
    if status in POLICY:
        return "policy"
    if status in INFRASTRUCTURE:
        return "infrastructure"
    return "framework" if status in _FRAMEWORK else "environment"


def masked(status: str, exit_status: str | None, treated: Treatment | None = None) -> str | None:
    """Why nothing may be learnt of a rollout that stands so: it is not over, was called off, or ended by something
    that its policy did not cause. None where it counts. A run may have `treated` it in another way than that: then it
    may be `no_reward`, too."""  # noqa: D205, D209 - one paragraph
    if status == "cancelled":
        return "cancelled"
    match treated:
        case "train" | "zero":
            return None
        case "mask":
            return exit_status or status
        case "unscored":
            return "no_reward"
    if exit_status is None:
        return None if status == "succeeded" else status
    return None if owner(exit_status) == "policy" else exit_status


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutConfig:
    """How often and how long a rollout may be tried (Agent Lightning's fields)."""

    timeout_seconds: float | None = None
    """From the attempt's start to its end."""
    unresponsive_seconds: float | None = None
    """Without a sign of life from the attempt's lease."""
    max_attempts: int = 1
    retry_condition: tuple[str, ...] = ()
    """Exit statuses that are tried again, while attempts are left; v0.3's `failed` means any but a policy's own."""

    def __post_init__(self) -> None:
        for name in ("timeout_seconds", "unresponsive_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not 0 < seconds < float("inf"):
                raise BadValue(name, seconds, why="it must be a positive number of seconds")
        if self.max_attempts < 1:
            raise BadValue("max_attempts", self.max_attempts, why="at least one attempt is needed")
        if "succeeded" in self.retry_condition or "completed" in self.retry_condition:
            raise BadValue("retry_condition", self.retry_condition, why="a success is not tried again")
        if unknown := sorted(set(self.retry_condition) - _RETRIED):
            raise BadValue("retry_condition", unknown, why=f"known are {', '.join(sorted(_RETRIED))}")


@event("rollout.enqueued", schema=1)
class RolloutEnqueued(Event):
    """A task was handed to whoever is free."""

    rollout_id: str
    input: Pooled[Any]
    """The task, any JSON."""
    task_id: str
    mode: Mode | None = None
    resources_id: str | None = None
    resources_version: int | None = None
    """Pinned when it was enqueued; both null when there were no resources."""
    config: RolloutConfig = RolloutConfig()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    group: str | None = None
    """Movement of the run that asked for it: members of one task in one group are compared."""
    repeat: int = 0
    """Which of the samples of that task in the group, from 0."""
    parent: str | None = None
    """The rollout this one was forked from."""


@event("rollout.updated", schema=1)
class RolloutUpdated(Event):
    """Somebody changed what was asked for: the fields in `changed` are so from here on."""

    rollout_id: str
    changed: tuple[Literal["input", "mode", "resources", "config", "metadata"], ...]
    """The other fields say nothing."""
    input: Pooled[Any] = None
    task_id: str | None = None
    """Of the new input."""
    mode: Mode | None = None
    resources_id: str | None = None
    resources_version: int | None = None
    config: RolloutConfig | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@event("rollout.finished", schema=1)
class RolloutFinished(Event):
    """No further attempt will be made."""

    rollout_id: str
    status: Literal["succeeded", "failed"]
    exit_status: ExitStatus
    attempt_id: str


@event("rollout.cancelled", schema=1)
class RolloutCancelled(Event):
    """Somebody called it off; what comes later does not count."""

    rollout_id: str
    why: str = ""


@event("rollout.deleted", schema=1)
class RolloutDeleted(Event):
    """It is hidden from every list; its facts stay."""

    rollout_id: str
    why: str = ""


@event("attempt.started", schema=1)
class AttemptStarted(Event):
    """A worker took the rollout, under a lease."""

    rollout_id: str
    attempt_id: str
    sequence: int
    """1 for the first attempt."""
    worker_id: str
    token: int
    """The fence: a result that carries another token comes too late."""


@event("attempt.finished", schema=1)
class AttemptFinished(Event):
    """The agent came to an end, good or bad, and its worker said so."""

    rollout_id: str
    attempt_id: str
    exit_status: ExitStatus
    error: str | None = None
    """What was raised, with its place; never a secret."""
    late: bool = False
    """The lease was lost before: recorded, and never counted."""


@event("attempt.expired", schema=1)
class AttemptExpired(Event):
    """The lease ran out, or its holder died."""

    rollout_id: str
    attempt_id: str
    exit_status: ExitStatus
    why: str


@event("attempt.updated", schema=1)
class AttemptUpdated(Event):
    """Somebody said more about an attempt: the fields in `changed` are so from here on."""

    rollout_id: str
    attempt_id: str
    changed: tuple[Literal["status", "worker_id", "metadata"], ...]
    """The other fields say nothing."""
    status: Literal["running"] | None = None
    """Its worker says that it has begun; an end is `attempt.finished` or `attempt.expired`."""
    worker_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
