"""An event on its way in, and an event with its place."""

from __future__ import annotations

from dataclasses import dataclass

from agl_core.events import Event

__all__ = ["Draft", "Record", "work_stream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A fact somebody wants kept."""

    stream: str
    """What must not conflict: `run/...`, `rollout/...`, `resources/...`, `endpoint/...`, `worker/...` or `log`."""
    event: Event
    key: str | None = None
    """The same key with the same content lands once, however often it is sent."""
    causation_id: str | None = None
    correlation_id: str | None = None
    actor: str = "agl-core"
    occurred_at: int | None = None
    """Nanoseconds, writer's clock; null means now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A fact that landed, and where."""

    position: int
    """Place in the whole log, from 1, without gaps: the only order there is."""
    id: str
    stream: str
    version: int
    """Place in its stream, from 1."""
    event: Event
    key: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    actor: str
    occurred_at: int
    recorded_at: int


def work_stream(rollout_id: str, run_id: str | None) -> str:
    """Where work stands: with the rollout it was done for; what an algorithm does itself, with the run."""
    return f"rollout/{rollout_id}" if rollout_id or run_id is None else f"run/{run_id}"
