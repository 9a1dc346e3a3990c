"""What the gateway needs of the floors below: who may call, and where calls are kept."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from agl_core.events import CallRecorded
from agl_core.record import Record

__all__ = ["Admission", "Admissions", "Calls"]


@dataclass(frozen=True)
class Admission:
    """An attempt, as far as its model calls need to know it."""

    run_id: str | None
    rollout_id: str
    attempt_id: str
    task_id: str
    repeat: int
    mode: str | None
    seed: int | None
    """Of the run; without one, requests get no seed from us."""
    key: str = field(repr=False)
    """The attempt's own token: what its agent was given as API key."""
    is_open: bool
    """False once the attempt is settled or fenced."""
    sampling: Mapping[str, Any]
    """Request fields for agents that leave them out."""


class Admissions(Protocol):
    """Knows every attempt."""

    def admission(self, rollout_id: str, attempt_id: str) -> Admission:
        """The attempt of that rollout, or `UnknownId`; cheap enough for every request."""
        ...


class Calls(Protocol):
    """Keeps model calls: what the recorder does for the gateway."""

    def begin_call(self, call_id: str, admission: Admission, *, model: str) -> Future[None]:
        """Note that a call is under way; durable when the future resolves."""
        ...

    def end_call(self, event: CallRecorded, admission: Admission) -> Future[Record]:
        """Keep what became of it; durable, and no longer under way, when the future resolves."""
        ...
