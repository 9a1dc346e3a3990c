"""Replays: an agent that ran again on what a log remembers. They stand in a log of their own, never in that one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from agl_core.events._base import Event, event
from agl_core.events.run import Component

__all__ = ["ReplayDeparted", "ReplayFinished", "ReplayStarted"]


@event("replay.started", schema=1)
class ReplayStarted(Event):
    """An agent set out to do again what a log remembers of it."""

    replay_id: str
    source: str
    """The log that is read."""
    head: int
    """Position up to which it was read."""
    rollout_id: str
    """As the source calls it; of a fork, the parent."""
    attempt_id: str
    agent: Component
    fork_at: int | None = None
    """Model calls that are answered from the log, before the rest is asked for real; null of a replay to its end."""
    changed: Mapping[str, Any] = field(default_factory=dict)
    """What a fork has otherwise than its parent: resource name to what stands there now."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """How it was to be compared: what was ignored, what tools were to do."""


@event("replay.departed", schema=1)
class ReplayDeparted(Event):
    """The agent asked for something else than the log remembers, and was stopped there."""

    replay_id: str
    rollout_id: str
    code: str
    """Of the error that stopped it."""
    why: str
    recorded: str | None = None
    """The call, or the span, that came nearest, by its id in the source."""
    difference: tuple[Mapping[str, Any], ...] = ()
    """Where the two differ, the first place first: `at` (a path into the request), `recorded` and `asked`."""


@event("replay.finished", schema=1)
class ReplayFinished(Event):
    """The agent came to its end, on answers of the log as far as they were to go."""

    replay_id: str
    rollout_id: str
    outcome: Literal["same", "departed", "forked"]
    answered: int
    """Model calls that were answered from the log."""
    live: int = 0
    """Those that a model answered."""
    tools: int = 0
    """Tool calls that were answered from the log."""
    prefix: str | None = None
    """Hash of all that was answered from the log, in order: forks with the same one share their past."""
    differs: Mapping[str, Any] = field(default_factory=dict)
    """What ended otherwise than it did then (`reward`, `exit_status`, `unasked`): then and now."""
