"""What the gateway needs of the floors below: who may call, and where calls are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from agl_core.events import CallRecorded, Role
from agl_core.log import Work
from agl_core.record import Record
from agl_core.store import Admission

__all__ = ["Admissions", "Calls", "Facts", "Recording"]


class Admissions(Protocol):
    """Knows every attempt."""

    def admission(self, rollout_id: str, attempt_id: str) -> Admission:
        """The attempt of that rollout, or `UnknownId`; cheap enough for every request."""
        ...

    def run_admission(self, run_id: str) -> Admission:
        """The run, for what its own algorithm asks; or `UnknownId`."""
        ...


class Calls(Protocol):
    """Keeps model calls, for the coroutines of one loop."""

    def begin_call(
        self, call_id: str, admission: Admission, /, *, model: str, role: Role, requests: int = 1
    ) -> Awaitable[Any]:
        """Note that a call is under way, with so many requests; durable when the future resolves."""
        ...

    def end_call(self, event: CallRecorded, admission: Admission, /) -> Awaitable[Any]:
        """Keep what became of it; durable, and no longer under way, when the future resolves."""
        ...


class Recording(Protocol):
    """Keeps model calls: what the recorder is to the gateway."""

    def for_coroutines(self) -> Calls:
        """For those of the gateway's loop."""
        ...


class Facts(Protocol):
    """Keeps what agents tell of themselves: what the log is to the gateway."""

    def submit(self, work: Work) -> Future[Sequence[Record]]:
        """Write it; durable when the future resolves."""
        ...

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows of a query over projections, as of the last commit."""
        ...

    def secret(self) -> bytes:
        """The log's own key."""
        ...
