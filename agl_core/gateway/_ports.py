"""What the gateway needs of the floors below: who may call, and where calls are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from agl_core.events import CallRecorded, ModelCall, Role
from agl_core.log import Work
from agl_core.record import Record
from agl_core.store import Admission

__all__ = ["Admissions", "Calls", "Facts", "Memory", "Question", "Recording"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A model call that may have been answered before."""

    call_id: str
    """Of the call as it is asked now."""
    admission: Admission
    call: ModelCall
    """What is asked, as it would be recorded: without an answer."""
    role: Role | None = None
    """Who asks, where that is not the business of the model alone."""
    agent: str | None = None
    parent_call_id: str | None = None
    place: str | None = None
    """Where in the agent's program it is asked, where that is known."""
    retry: int | None = None
    """How often its client has asked it before, in vain; None of clients that do not count."""


class Memory(Protocol):
    """Knows what models said before; what it knows is never asked of one."""

    @property
    def models(self) -> Collection[str]:
        """The names of those that it can speak for."""
        ...

    async def recall(self, question: Question) -> CallRecorded | None:
        """The call whose answer this is to be; None when a model is to be asked.

        A `ReplayError` says that neither may be: who asks is refused.
        """
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
