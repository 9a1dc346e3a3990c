"""Rewards: what a judge thought, and of what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agl_core.errors import BadValue
from agl_core.events._base import Event, event

__all__ = ["RewardGiven", "RewardWithdrawn", "RewardWithheld", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What earned a reward."""

    kind: Literal["rollout", "call", "span", "agent"]
    id: str


@event("reward.given", schema=1)
class RewardGiven(Event):
    """A judge put a number on a rollout, an agent's turn, or one call in it."""

    rollout_id: str
    attempt_id: str | None = None
    target: Target
    """What earned it. Never "the nearest call"."""
    value: float
    name: str = "primary"
    judge: str
    """Who judged, with its version where it has one; `agent` when the agent scored itself."""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise BadValue("reward", self.value, why="a reward is a finite number")


@event("reward.withdrawn", schema=1)
class RewardWithdrawn(Event):
    """A reward does not count any more."""

    rollout_id: str
    reward: str
    """Id of the event that gave it."""
    why: str


@event("reward.withheld", schema=1)
class RewardWithheld(Event):
    """A judge looked at a rollout, and gave no number: it is not a zero."""

    rollout_id: str
    attempt_id: str
    """The one that was looked at."""
    judge: str
    name: str = "primary"
    """Of the reward that it would have given."""
    code: str
    """Of the error that kept it from that."""
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
