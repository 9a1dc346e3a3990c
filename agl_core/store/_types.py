"""What the store hands out: Agent Lightning's fields, frozen, and a few of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import msgspec

from agl_core.events import RolloutConfig, Treatment, masked

__all__ = [
    "FINISHED",
    "UNSET",
    "Admission",
    "Attempt",
    "AttemptStatus",
    "AttemptedRollout",
    "EnqueueRolloutRequest",
    "Outcome",
    "Rollout",
    "RolloutStatus",
    "Unset",
    "Worker",
    "WorkerStatus",
]

RolloutStatus = Literal["queuing", "preparing", "running", "failed", "succeeded", "cancelled", "requeuing"]
AttemptStatus = Literal["preparing", "running", "failed", "succeeded", "unresponsive", "timeout"]
WorkerStatus = Literal["idle", "busy", "unknown"]
rollout_config = msgspec.json.Decoder(RolloutConfig).decode
"""A `RolloutConfig` as the tables keep it."""
FINISHED = frozenset({"succeeded", "failed", "cancelled"})
"""Statuses no event changes any more."""


class Unset(Enum):
    """Says that an argument was left out, where None would be a value."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueRolloutRequest:
    """A task to hand out."""

    input: Any
    mode: str | None = None
    resources_id: str | None = None
    resources_version: int | None = None
    config: RolloutConfig | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    group: str | None = None
    repeat: int = 0
    key: str | None = None
    """Idempotency key: the same request with the same key is one rollout."""
    rollout_id: str | None = None
    """An id of the caller's own: the same request with the same id is one rollout."""
    copy: int = 0
    """How many equal tasks stand before it in what it is of: each has a task id of its own."""
    parent: str | None = None
    """The rollout that it does again, or was forked from; it may be one of another log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a rollout."""

    rollout_id: str
    attempt_id: str
    sequence_id: int
    """1 for the first."""
    start_time: float
    """Seconds since the epoch, as all times here."""
    end_time: float | None = None
    status: AttemptStatus = "preparing"
    exit_status: str | None = None
    error: str | None = None
    worker_id: str | None = None
    last_heartbeat_time: float | None = None
    """When its lease was last renewed; None when the lease is gone."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    token: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A task that was handed out, and where it stands."""

    rollout_id: str
    input: Any
    start_time: float
    """When it was enqueued; never reset."""
    end_time: float | None = None
    mode: str | None = None
    resources_id: str | None = None
    resources_version: int | None = None
    status: RolloutStatus = "queuing"
    exit_status: str | None = None
    config: RolloutConfig = RolloutConfig()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    task_id: str = ""
    run_id: str | None = None
    group: str | None = None
    repeat: int = 0
    attempts: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether no further attempt will be made."""
        return self.status in FINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptedRollout(Rollout):
    """A rollout with the attempt that somebody works on."""

    attempt: Attempt

    @property
    def attempt_id(self) -> str:
        """Of that attempt."""
        return self.attempt.attempt_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a task: what an algorithm looks at."""

    rollout_id: str
    task_id: str
    task: Any
    repeat: int
    status: RolloutStatus
    exit_status: str | None
    reward: float | None
    """The last `primary` reward of the rollout that counts; never filled in, unless the run's failure policy says."""
    treated: Treatment | None = None
    """What its run does with it for how it ended; None where that is as usual."""

    @property
    def mask(self) -> str | None:
        """Why nothing of it may be learnt, its place in a group's mean included: how it ended; None where it counts."""
        return masked(self.status, self.exit_status, self.treated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Somebody who takes rollouts."""

    worker_id: str
    host: str
    pid: int
    status: WorkerStatus = "unknown"
    """`unknown` when the lease of its last attempt ran out: it may be dead, or slow."""
    heartbeat_stats: Mapping[str, Any] | None = None
    last_heartbeat_time: float | None = None
    last_dequeue_time: float | None = None
    last_busy_time: float | None = None
    last_idle_time: float | None = None
    current_rollout_id: str | None = None
    current_attempt_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the gateway must know before it lets a call of an attempt through."""

    run_id: str | None
    rollout_id: str
    attempt_id: str
    task_id: str
    repeat: int
    mode: str | None
    seed: int | None
    """Of the run; null outside a run."""
    key: str = field(repr=False)
    """What the agent must present: the attempt's own token."""
    judge_key: str = field(default="", repr=False)
    """What a judge of the attempt must present, whom nobody refuses because it is settled; empty where none may ask."""
    is_open: bool
    """False when the attempt is fenced or settled: its calls are refused."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Defaults for what a request leaves open."""
