"""One span of the SDK, heard from its start to its end. Nothing here raises into the agent."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar, Token
from dataclasses import replace
from typing import Any, Self

from agl_core.events import SpanRecorded
from agl_core.ids import new_id
from agl_core.recorder import Scope, agent
from agl_openai_agents._told import is_model_call, told

__all__ = ["Heard", "here"]

_WHERE = "agl_openai_agents"


class Heard:
    """A span that is the SDK's own in all that its users see, and a fact of the attempt when it ends."""

    def __init__(self, span: Any, scope: Scope, parent: Heard | None) -> None:
        self.span, self._scope = span, scope
        self._id = new_id("sp")
        self._parent = parent
        self._started_at = 0
        self._agent = scope.agent
        self._error: Any = None
        self._is_over = False
        self._current: Token[Heard | None] | None = None
        self._named: AbstractContextManager[None] | None = None

    @property  # type: ignore[misc]  # `object` says it can be set: nobody does
    def __class__(self) -> Any:
        """The SDK's: code of a host may ask whether it has a span in its hand."""
        return type(self.span)

    def __getattr__(self, name: str) -> Any:
        """What the SDK's span has."""
        if name == "span":  # asked for by `copy`, before it is there
            raise AttributeError(name)
        return getattr(self.span, name)

    @property
    def error(self) -> Any:
        """What went wrong. The SDK asks, before it says so in fewer words; a span it does not keep would not know."""
        return self.span.error or self._error

    def set_error(self, error: Any) -> None:
        """Something went wrong in it."""
        self._error = error
        self.span.set_error(error)

    def start(self, mark_as_current: bool = False) -> None:  # noqa: FBT001, FBT002 - the SDK's
        """It begins."""
        self.span.start(mark_as_current=mark_as_current)
        self._begun(is_current=mark_as_current)

    def finish(self, reset_current: bool = False) -> None:  # noqa: FBT001, FBT002 - the SDK's
        """It ends."""
        try:
            self.span.finish(reset_current=reset_current)
        finally:
            self._ended(None)

    def __enter__(self) -> Self:
        self.span.__enter__()
        self._begun(is_current=True)
        return self

    def __exit__(self, kind: object, raised: BaseException | None, traceback: object) -> Any:
        try:
            return self.span.__exit__(kind, raised, traceback)
        finally:
            self._ended(raised)

    def _begun(self, *, is_current: bool) -> None:
        self._started_at = time.time_ns()
        try:
            if not is_current:
                return
            self._current = _here.set(self)
            data = self.span.span_data
            if data.type == "agent" and isinstance(data.name, str) and data.name:
                self._agent = data.name
                named = agent(data.name)
                named.__enter__()
                self._named = named
        except Exception as error:  # noqa: BLE001 - the rim
            self._scope.lost(_WHERE, error, what="a span of an agent")

    def _ended(self, raised: BaseException | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        # In another context than it began in, there is nothing to take back: a task of its own has ended, and the
        # names that it had with it.
        with suppress(ValueError, RuntimeError):
            if self._named is not None:
                self._named.__exit__(None, None, None)
        with suppress(ValueError, RuntimeError):
            if self._current is not None:
                _here.reset(self._current)
        try:
            if not is_model_call(self.span.span_data):
                scope = self._scope
                scope.expect(scope.recorder.record(self._fact(raised), scope))
        except Exception as error:  # noqa: BLE001 - the rim: the agent works on, whatever becomes of its spans
            self._scope.lost(_WHERE, error, what="a span of an agent")

    def _fact(self, raised: BaseException | None) -> SpanRecorded:
        fact = SpanRecorded(
            rollout_id=self._scope.rollout_id,
            attempt_id=self._scope.attempt_id,
            span_id=self._id,
            parent_id=self._under(),
            name="",
            agent=self._agent,
            started_at=self._started_at or time.time_ns(),
            ended_at=time.time_ns(),
        )
        error = self.error
        if error is None and raised is not None and not isinstance(raised, GeneratorExit):
            error = {"message": str(raised), "type": type(raised).__name__}
        return replace(fact, **told(self.span, error))

    def _under(self) -> str | None:
        """The nearest span above it that is a fact, and of the same attempt."""
        above = self._parent
        while above is not None and is_model_call(above.span.span_data):
            above = above._parent  # noqa: SLF001 - its own kind
        if above is None or above._scope.attempt_id != self._scope.attempt_id:  # noqa: SLF001
            return None
        return above._id  # noqa: SLF001


_here: ContextVar[Heard | None] = ContextVar("agl_openai_agents_span", default=None)


def here() -> Heard | None:
    """The span that is current here, if it is heard."""
    return _here.get()
