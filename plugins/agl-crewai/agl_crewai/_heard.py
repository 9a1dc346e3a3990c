"""A piece of a crew's work, from the event that begins it to the one that ends it. Nothing here raises into the agent.

Events are emitted in the very context that the work is done in, so that is where the name of an agent is set, and where
the piece is looked for that an event ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from agl_core.errors import OutsideAttempt
from agl_core.events import SpanRecorded
from agl_core.ids import new_id
from agl_core.recorder import Scope, agent, current
from agl_crewai._told import agent_of, begun, ended, said

__all__ = ["hear", "within"]

_WHERE = "agl_crewai"


def hear(source: Any, event: Any) -> None:
    """What `source` says: a piece of work begins, or the innermost one that it has begun ends."""
    try:
        scope = current("an event of a crew")
    except OutsideAttempt:
        return
    try:
        match said(source, event):
            case (what, "begun"):
                _Piece(what, source, event, scope).begin()
            case (what, how):
                _end(what, source, event, how)
    except Exception as error:  # noqa: BLE001 - the rim: the agent works on, whatever becomes of its spans
        scope.lost(_WHERE, error, what="a span of a crew")


@contextmanager
def within(role: Any = None) -> Iterator[None]:
    """What is begun inside is over at its end, whether an event says so or not; the agent of that role does it."""
    before, named = _here.get(), _named(role)
    raised: BaseException | None = None
    try:
        yield
    except BaseException as error:
        raised = error
        raise
    finally:
        first = _first_in(before)
        if first is not None:
            first.end("unset", raised=raised)
            _here.set(before)
        if named is not None:
            named.__exit__(None, None, None)


class _Piece:
    """Work of one kind that one object of CrewAI has begun; a fact of its attempt when it ends, as it does once."""

    def __init__(self, what: str, source: Any, event: Any, scope: Scope) -> None:
        self.what, self.source = what, source
        self.above = _here.get()
        self._scope = scope
        self._id = new_id("sp")
        self._parent_id = self.above.id_in(scope) if self.above else None
        self._name, self._attributes = begun(what, event)
        self._agent = agent_of(what, event)
        self._named: agent | None = None
        self._started_at = time.time_ns()
        self._open: set[_Piece] = set()
        """What is in it, and goes on."""
        self._over = Lock()

    def begin(self) -> None:
        """From now on it is the piece that others are in."""
        self._named = _named(self._agent)
        if self.above is not None:
            self.above._open.add(self)  # noqa: SLF001 - its own kind
        _here.set(self)

    def id_in(self, scope: Scope) -> str | None:
        """Of the nearest piece of that attempt that is not over: this one, or one that it is in."""
        piece: _Piece | None = self
        while piece is not None and (piece._over.locked() or piece._scope.attempt_id != scope.attempt_id):  # noqa: SLF001
            piece = piece.above
        return piece._id if piece else None  # noqa: SLF001

    def is_of(self, what: str, source: Any) -> bool:
        """Whether an event of `source` is about it."""
        return not self._over.locked() and self.what == what and self.source is source

    def end(
        self, status: str, *, raised: BaseException | None = None, event: Any = None, message: str | None = None
    ) -> None:
        """It is over, and all that is in it: a tool may be in a thread whose context nobody goes back to."""
        if not self._over.acquire(blocking=False):
            return
        for piece in list(self._open):
            piece.end("unset", raised=raised)
        if self.above is not None:
            self.above._open.discard(self)  # noqa: SLF001
        if self._named is not None:
            self._named.__exit__(None, None, None)
        self.source = None  # contexts are copied, and may live on
        try:
            if event is not None:
                self._attributes |= ended(self.what, event)
            if raised is not None:
                status, message = "error", message or str(raised) or None
                self._attributes["error.type"] = type(raised).__name__
            self._scope.expect(self._scope.recorder.record(self._fact(status, message), self._scope))
        except Exception as error:  # noqa: BLE001 - the rim
            self._scope.lost(_WHERE, error, what="a span of a crew")

    def _fact(self, status: str, message: str | None) -> SpanRecorded:
        return SpanRecorded(
            rollout_id=self._scope.rollout_id,
            attempt_id=self._scope.attempt_id,
            span_id=self._id,
            parent_id=self._parent_id,
            name=self._name,
            attributes=self._attributes,
            status=status,
            status_message=message,
            agent=self._agent or self._scope.agent,
            started_at=self._started_at,
            ended_at=time.time_ns(),
        )


_here: ContextVar[_Piece | None] = ContextVar("agl_crewai_piece", default=None)


def _end(what: str, source: Any, event: Any, how: str) -> None:
    found = _here.get()
    while found is not None and not found.is_of(what, source):
        found = found.above
    if found is None:  # it had begun before anybody listened
        return
    failure = getattr(event, "failure", None)
    message = str(event.error) if how == "error" else getattr(failure, "message", None)
    status = "ok" if message is None else "error"
    found.end(status, raised=_raised(event) if how == "error" else None, event=event, message=message)
    _here.set(found.above)


def _first_in(piece: _Piece | None) -> _Piece | None:
    """The outermost that was begun here since `piece`."""
    one = _here.get()
    if one is piece:
        return None
    while one is not None and one.above is not piece:
        one = one.above
    return one


def _raised(event: Any) -> BaseException | None:
    """The error itself: most events have but its words, and are emitted where it was caught."""
    if isinstance(event.error, BaseException):
        return event.error
    caught = sys.exception()
    # Another one may be under way: CrewAI starts loops where it was told that there is none.
    return caught if caught is not None and str(caught) == str(event.error) else None


def _named(role: Any) -> agent | None:
    """The agent of that role, at work; nothing where it is already, or is nobody's."""
    name = role.strip() if isinstance(role, str) else ""
    try:
        around = current("an agent's name")
    except OutsideAttempt:
        return None
    if not name or around.agent == name:
        return None
    here = _here.get()
    # Its tools run in threads of their own; but it asks for one thing at a time, and waits for its tools.
    is_for_a_tool = here is not None and here.what == "tool_usage"
    named = agent(name, parent_call=around.asked[-1] if is_for_a_tool and around.asked else None)
    named.__enter__()
    return named
