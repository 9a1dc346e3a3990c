"""What tracers and taps write with; whose work it is follows from the context, never from a patch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Protocol

from agl_core.clock import Clock, System
from agl_core.errors import OutsideAttempt
from agl_core.events import CallRecorded, Event
from agl_core.log import Decide, Owner, SqliteLog, View
from agl_core.record import Draft, Record

__all__ = ["Attributed", "LoopRecorder", "Recorder", "Scope", "agent", "attributed", "current"]


class Attributed(Protocol):
    """Whose work something is; an `Admission` of the store is one."""

    @property
    def run_id(self) -> str | None:
        """Of the run, if it is part of one."""
        ...

    @property
    def rollout_id(self) -> str:
        """Of the rollout."""
        ...

    @property
    def attempt_id(self) -> str:
        """Of the attempt."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The attempt whose code is running here."""

    recorder: Recorder
    run_id: str | None
    rollout_id: str
    attempt_id: str
    agent: str | None = None
    pending: list[Future[Sequence[Record]]] = field(default_factory=list)
    """Writes under way; the runner sees to it that all have landed before the attempt is settled."""


_scope: ContextVar[Scope | None] = ContextVar("agl_scope", default=None)


def current(what: str = "this") -> Scope:
    """The scope here, or `OutsideAttempt`."""
    scope = _scope.get()
    if scope is None:
        raise OutsideAttempt(what)
    return scope


@contextmanager
def attributed(scope: Scope) -> Iterator[Scope]:
    """What is emitted inside belongs to `scope`."""
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


@contextmanager
def agent(name: str) -> Iterator[None]:
    """What is emitted inside belongs to the agent of that name."""
    with attributed(replace(current("an agent's name"), agent=name)):
        yield


class Recorder:
    """Writes facts of attempts. Every method returns at once; its future resolves when the fact is durable."""

    def __init__(self, log: SqliteLog, *, actor: str = "agl-core", clock: Clock | None = None) -> None:
        self._log, self._actor = log, actor
        self._clock: Clock = clock or System()
        self._owner = Owner.me()

    def note(self, event: Event) -> Future[Sequence[Record]]:
        """Keep an event that belongs to no attempt: of a tracer, of the machinery."""
        return self._log.submit([Draft(stream="log", event=event, actor=self._actor)])

    def record(self, event: Event, of: Attributed, *, key: str | None = None) -> Future[Sequence[Record]]:
        """Keep an event of an attempt."""
        return self._log.submit([self._draft(event, of, key)])

    def begin_call(self, call_id: str, of: Attributed, *, model: str) -> Future[Sequence[Record]]:
        """A call is about to leave: if this process dies, the log will say that nobody knows what came of it."""
        return self._log.submit(self.begins(call_id, of, model))

    def end_call(self, event: CallRecorded, of: Attributed) -> Future[Sequence[Record]]:
        """A call has come to its end, whichever."""
        return self._log.submit(self.ends(event, of))

    def for_coroutines(self) -> LoopRecorder:
        """The same, for those who await: what the coroutines of a loop write in one turn is one transaction."""
        return LoopRecorder(self, self._log)

    def begins(self, call_id: str, of: Attributed, model: str) -> Decide:
        """What `begin_call` decides, for who writes it himself."""
        data = {
            "run_id": of.run_id,
            "rollout_id": of.rollout_id,
            "attempt_id": of.attempt_id,
            "model": model,
            "started": self._clock.now(),
        }

        def begun(view: View) -> list[Draft]:
            view.in_flight.put("call", call_id, owner=self._owner, data=data)
            return []

        return begun

    def ends(self, event: CallRecorded, of: Attributed) -> Decide:
        """What `end_call` decides, for who writes it himself."""
        draft = self._draft(event, of, f"call/{event.call_id}")

        def ended(view: View) -> list[Draft]:
            view.in_flight.drop("call", event.call_id)
            return [draft]

        return ended

    def _draft(self, event: Event, of: Attributed, key: str | None) -> Draft:
        return Draft(
            stream=f"rollout/{of.rollout_id}",
            event=event,
            key=key,
            correlation_id=of.run_id or of.rollout_id,
            actor=self._actor,
            occurred_at=self._clock.now(),
        )


class LoopRecorder:
    """Keeps calls for the coroutines of a loop; its futures are theirs."""

    def __init__(self, recorder: Recorder, log: SqliteLog) -> None:
        self._recorder, self._log = recorder, log

    def begin_call(self, call_id: str, of: Attributed, *, model: str) -> asyncio.Future[Sequence[Record]]:
        """As the recorder's."""
        return self._log.soon(self._recorder.begins(call_id, of, model))

    def end_call(self, event: CallRecorded, of: Attributed) -> asyncio.Future[Sequence[Record]]:
        """As the recorder's."""
        return self._log.soon(self._recorder.ends(event, of))
