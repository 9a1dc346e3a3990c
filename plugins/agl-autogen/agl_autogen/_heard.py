"""One piece of work, heard from its start to its end. Nothing here raises into the agent."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from agl_autogen._work import Work
from agl_core.errors import OutsideAttempt
from agl_core.events import SpanRecorded
from agl_core.ids import new_id
from agl_core.recorder import Scope, attributed, current

__all__ = ["Heard", "Hearing", "here", "within"]

_WHERE = "agl_autogen"
CameOf = Callable[[Any], Mapping[str, Any]]
"""What the result of a piece of work says about it."""


class Heard:
    """A piece of work under way; a fact of its attempt when it ends."""

    def __init__(self, work: Work, around: Scope, parent: Heard | None) -> None:
        self.work: Work | None = work
        self.around, self.parent = around, parent
        self.is_of_message = work.is_of_message
        self.wish = around.asked[-1] if work.is_wished and around.asked else None
        """The call by which a model wanted a tool: the last one of its agent, which makes none while tools run."""
        self.is_transparent = work.agent is None
        """Whether what is in it works for whoever it works for."""
        self.has_handed_over = False
        """Whether an agent has called a hand-off already: AutoGen takes the first, and no other."""
        self._fact = SpanRecorded(
            rollout_id=around.rollout_id,
            attempt_id=around.attempt_id,
            span_id=new_id("sp"),
            parent_id=parent.id if parent is not None and parent.around.attempt_id == around.attempt_id else None,
            name=work.name,
            attributes=work.attributes,
            agent=work.agent or around.agent,
            started_at=time.time_ns(),
            ended_at=0,
        )
        self.scope = around
        """Of what is done in it."""
        if work.agent:
            self.scope = replace(around, agent=work.agent, parent_call=self._led_to_by(), asked=[])

    @property
    def id(self) -> str:
        """The span's."""
        return self._fact.span_id

    def _led_to_by(self) -> str | None:
        """The call that an agent works for: one that wanted the tool it is in, by itself or in a team."""
        above = self.parent
        while above is not None and above.wish is None and above.is_transparent:
            above = above.parent
        return (above and above.wish) or self.around.last_call()

    @contextmanager
    def whole(self, came_of: CameOf | None = None) -> Iterator[list[Any]]:
        """All that is done inside belongs to it, and it ends with it; what is put into the list came of it."""
        results: list[Any] = []
        try:
            with within(self, self.scope):
                yield results
        except BaseException as error:
            self._end(error)
            raise
        self._end(None, came_of, results)

    async def steps(
        self, stream: AsyncGenerator[Any, None], came_of: CameOf | None = None, *, last: type | tuple[type, ...] = ()
    ) -> AsyncGenerator[Any, None]:
        """What `stream` gives. Its steps belong to the work; what its reader does in between does not.

        It is over with the stream, or when that gives its `last`: most readers go then, and leave the rest to the
        garbage collector.
        """
        given: list[Any] = []
        try:
            while True:
                with within(self, self.scope):
                    try:
                        given = [await anext(stream)]
                    except StopAsyncIteration:
                        break
                    finally:
                        # An agent may say `agl.agent(...)` over several of its steps.
                        self.scope = current()
                if isinstance(given[0], last):
                    self._end(None, came_of, given)
                yield given[0]
        except BaseException as error:
            try:
                with within(self, self.scope):
                    await stream.aclose()
            finally:
                self._end(error)
            raise
        self._end(None, came_of, given)

    def _end(self, raised: BaseException | None, came_of: CameOf | None = None, results: Sequence[Any] = ()) -> None:
        if self.work is None:
            return
        # Whoever still has this in a context of his keeps no agent alive.
        self.work = None
        try:
            attributes, message = {**self._fact.attributes, **self._said(came_of, results)}, None
            if raised is not None and not isinstance(raised, GeneratorExit):
                attributes["error.type"], message = type(raised).__name__, str(raised)
            status = "error" if "error.type" in attributes else "ok"
            fact = replace(
                self._fact, ended_at=time.time_ns(), attributes=attributes, status=status, status_message=message
            )
            self.around.expect(self.around.recorder.record(fact, self.around))
        except Exception as error:  # noqa: BLE001 - the rim: the agent works on, whatever becomes of its spans
            self.around.lost(_WHERE, error, what="a span of an agent")

    def _said(self, came_of: CameOf | None, results: Sequence[Any]) -> Mapping[str, Any]:
        try:
            return came_of(results[0]) if came_of is not None and results else {}
        except Exception as error:  # noqa: BLE001 - the rim: what came of it is the user's own; that it was done is kept
            self.around.lost(_WHERE, error, what="a span of an agent")
            return {}


class Hearing:
    """What a place asks when something begins there."""

    def __init__(self) -> None:
        self.is_on = False
        """Whoever has put theirs around ours keeps ours, which then does nothing."""
        self.teams: tuple[Any, Any] | None = None
        """The modules of a team's members and its manager, once they are there."""

    def begun(self, make: Callable[[], Work | None]) -> Heard | None:
        """The work that begins here; nothing where no attempt is under way, or where there is nothing to tell."""
        if not self.is_on:
            return None
        try:
            scope = current("work of AutoGen's")
        except OutsideAttempt:
            return None
        try:
            work = make()
            return Heard(work, scope, here()) if work is not None else None
        except Exception as error:  # noqa: BLE001 - the rim: the agent works, whether we hear of it or not
            scope.lost(_WHERE, error, what="a span of an agent")
            return None


_here: ContextVar[Heard | None] = ContextVar("agl_autogen_work", default=None)


def here() -> Heard | None:
    """The innermost work that is under way here."""
    return _here.get()


@contextmanager
def within(heard: Heard | None, scope: Scope) -> Iterator[None]:
    """What is done inside is done in that work, and for that scope."""
    token = _here.set(heard)
    attribution = attributed(scope)
    attribution.__enter__()
    try:
        yield
    finally:
        # A coroutine that nobody awaits any more is closed in whichever context: there, nothing is to be taken back.
        with suppress(ValueError):
            attribution.__exit__(None, None, None)
        with suppress(ValueError):
            _here.reset(token)
