"""Whose code is running here: an attempt's, in the context that the runner has set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from agl_core.errors import OutsideAttempt
from agl_core.events import CaptureLost
from agl_core.record import Record
from agl_core.recorder._place import Branches, numbering
from agl_core.recorder._replaying import Replaying

if TYPE_CHECKING:
    from agl_core.recorder._recorder import Recorder

__all__ = [
    "Attributed",
    "Inside",
    "Scope",
    "attributed",
    "carried",
    "current",
    "is_machinery",
    "machinery",
    "numbered",
    "owned",
    "program_begins",
]


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
    """The innermost that was named."""
    parent_call: str | None = None
    """The call that the agent around this one had made when this one began: it is what this one works for."""
    asked: list[str] = field(default_factory=list)
    """The last call that this agent made, once it has made one."""
    gateway: str | None = None
    """Base URL of the gateway that its programs may tell things, if there is one."""
    key: str | None = field(default=None, repr=False)
    """The attempt's own token, which they show there."""
    replaying: Replaying | None = field(default=None, repr=False)
    """The replay that this attempt is run again in, if it is."""
    pending: list[Future[Sequence[Record]]] = field(default_factory=list)
    """Writes that have not landed, or failed; the runner waits for them before the attempt is settled."""
    branches: Branches = field(default_factory=Branches, repr=False, compare=False)
    """Those of the attempt's program: they tell where in it something is asked."""

    def expect(self, write: Future[Sequence[Record]]) -> None:
        """Have the runner wait for `write`; what has landed is let go of, because it holds what it wrote."""
        if write.done() and write.exception() is None:
            return
        self.pending.append(write)
        write.add_done_callback(self._let_go)

    def lost(self, where: str, error: Exception, *, what: str = "a span") -> None:
        """Say that `what` could not be kept, in the log and in a warning of the module `where`. Never raises."""
        log, why = logging.getLogger(where), type(error).__name__
        # Only what kind of error: its message may quote what the agent said.
        log.warning("%s could not be kept (%s)", what, why)
        try:
            self.expect(self.recorder.record(CaptureLost(count=1, where=where, why=why), self))
        except Exception as again:  # noqa: BLE001 - the rim: the agent works on, whatever becomes of its spans
            log.warning("that it was lost cannot be kept (%s)", type(again).__name__)

    def asks(self, call_id: str) -> None:
        """This agent makes that call now."""
        self.asked[:] = [call_id]
        _asked.set(call_id)

    def headers(self) -> dict[str, str]:
        """What tells the gateway who asks, and what for. For its eyes only: no foreign host is to see them."""
        # Quoted, because headers are ASCII and names need not be.
        known = {"AGL-Agent": self.agent and quote(self.agent, safe=" "), "AGL-Parent-Call": self.parent_call}
        return {name: value for name, value in known.items() if value}

    def last_call(self) -> str | None:
        """The call that led here; nothing where this agent made calls in several places at once, and none is sure."""
        last = self.asked[-1] if self.asked else None
        return last if last == _asked.get() else None

    def _let_go(self, write: Future[Sequence[Record]]) -> None:
        if write.exception() is None:
            self.pending.remove(write)


_scope: ContextVar[Scope | None] = ContextVar("agl_scope", default=None)
_asked: ContextVar[str | None] = ContextVar("agl_asked", default=None)
"""The last call that was made in this very context, whoever made it."""
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


def numbered() -> AbstractContextManager[None]:
    """While it lasts, this loop numbers the tasks that attempts make; all others it makes as it did."""
    return numbering(_branches)


def program_begins() -> None:
    """The program of the attempt begins here: in this task, or in this thread."""
    if (branches := _branches()) is not None:
        branches.begin()


def carried(work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, which is of the attempt that is at work here, in whichever thread it is done."""
    scope, asked = _scope.get(), _asked.get()
    if scope is None:
        return work
    work = scope.branches.handed(work)

    def carrying(*args: Any, **kwargs: Any) -> Any:
        tokens = _scope.set(scope), _asked.set(asked)
        try:
            return work(*args, **kwargs)
        finally:
            _scope.reset(tokens[0])
            _asked.reset(tokens[1])

    return carrying


class Inside:
    """A piece of work in `scope`, in whatever pieces it is done: entered again, it goes on where it was left."""

    def __init__(self, scope: Scope) -> None:
        self._scope: Scope | None = scope
        self._asked: str | None = None
        self._tokens: tuple[Token[Scope | None], Token[str | None]] | None = None

    def __enter__(self) -> None:
        if self._tokens is not None:
            raise RuntimeError("it is entered already: each block has one of its own")
        self._tokens = _scope.set(self._scope), _asked.set(self._asked)

    def __exit__(self, *_raised: object) -> None:
        if self._tokens is None:
            return
        (scope, asked), self._tokens = self._tokens, None
        # Not the scope it began in: a generator may have been left in the middle of a block.
        self._scope, self._asked = _scope.get(), _asked.get()
        with suppress(ValueError):  # in another context than it began in there is nothing to take back
            _scope.reset(scope)
            _asked.reset(asked)


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


def _branches() -> Branches | None:
    scope = _scope.get()
    return None if scope is None else scope.branches


def is_machinery() -> bool:
    """Whether code that runs here is no agent's."""
    return _is_machinery.get()
