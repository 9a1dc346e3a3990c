"""Whose code is running here: an attempt's, in the context that the runner has set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from agl_core.errors import OutsideAttempt
from agl_core.record import Record

if TYPE_CHECKING:
    from agl_core.recorder._recorder import Recorder

__all__ = ["Attributed", "Scope", "agent", "attributed", "current", "is_machinery", "machinery", "owned"]


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
    """Writes that have not landed, or failed; the runner waits for them before the attempt is settled."""

    def expect(self, write: Future[Sequence[Record]]) -> None:
        """Have the runner wait for `write`; what has landed is let go of, because it holds what it wrote."""
        if write.done() and write.exception() is None:
            return
        self.pending.append(write)
        write.add_done_callback(self._let_go)

    def _let_go(self, write: Future[Sequence[Record]]) -> None:
        if write.exception() is None:
            self.pending.remove(write)


_scope: ContextVar[Scope | None] = ContextVar("agl_scope", default=None)
_is_machinery: ContextVar[bool] = ContextVar("agl_machinery", default=False)
_owners: list[Scope] = []
"""Whose the whole process is, where it is one attempt's."""


def current(what: str = "this") -> Scope:
    """The scope here, or `OutsideAttempt`."""
    scope = _scope.get() or (_owners[-1] if _owners else None)
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
def owned(scope: Scope) -> Iterator[Scope]:
    """What this process emits belongs to `scope`, also in threads that carry no context."""
    _owners.append(scope)
    try:
        yield scope
    finally:
        _owners.remove(scope)


@contextmanager
def machinery() -> Iterator[None]:
    """What code inside does is no agent's: an algorithm asks models of its own."""
    token = _is_machinery.set(True)
    try:
        yield
    finally:
        _is_machinery.reset(token)


def is_machinery() -> bool:
    """Whether code that runs here is no agent's."""
    return _is_machinery.get()


@contextmanager
def agent(name: str) -> Iterator[None]:
    """What is emitted inside belongs to the agent of that name."""
    with attributed(replace(current("an agent's name"), agent=name)):
        yield
