"""The memory that a replay's gateway asks: each attempt has its tape, and what is not on it ends that attempt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace

from agl_core.errors import ReplayError
from agl_core.events import CallRecorded, ModelCall
from agl_core.gateway import Question
from agl_core.record import Draft
from agl_core.replay._matching import Asked, Matcher

__all__ = ["OnCall", "Remembering"]

OnCall = Callable[[Question, CallRecorded], Awaitable[None]]
"""Looks at each call and its recorded answer, before that goes out; `ReplayStopped` says that it is enough."""


class Remembering:
    """The model calls of one attempt."""

    def __init__(
        self,
        matcher: Matcher,
        *,
        redact: Callable[[Draft], Draft],
        departed: Future[None],
        on_call: OnCall | None = None,
        began_at: int = 0,
    ) -> None:
        """`departed` fails with the first that is asked and is not recorded; after that, nothing is answered.

        `began_at` is when the attempt did, in nanoseconds since the epoch.
        """
        self._began_at = began_at
        self._matcher, self._redact, self._departed, self._on_call = matcher, redact, departed, on_call

    def origin(self, call_id: str) -> str | None:
        """The recorded call that a call of now is; None where it may be another one."""
        return self._matcher.origin(call_id)

    async def recall(self, question: Question) -> CallRecorded | None:
        """The recorded call that this one is."""
        if self._departed.done() and (why := self._departed.exception()) is not None:
            raise why
        asked = Asked(
            call_id=question.call_id,
            call=self._redacted(question.call),
            agent=question.agent,
            parent_call_id=question.parent_call_id,
            place=question.place,
            retry=question.retry,
        )
        try:
            found = await self._matcher.match(asked)
            if self._on_call is not None:
                await self._on_call(replace(question, call=asked.call), found)
        except ReplayError as error:
            with suppress(InvalidStateError):  # something else was not as it was before
                self._departed.set_exception(error)
            raise
        return self._patient(found) if found.status == "broken" else found

    def _patient(self, found: CallRecorded) -> CallRecorded:
        """One that its asker hung up on, because the time of the whole attempt was over, say, which began before it."""
        return replace(found, latency=found.latency + max(0, found.started_at - self._began_at) / 1e9)

    def _redacted(self, call: ModelCall) -> ModelCall:
        """What a log would have kept of it."""
        event = CallRecorded(call_id="", rollout_id="", attempt_id="", call=call, started_at=0, latency=0.0)
        kept = self._redact(Draft(stream="log", event=event)).event
        return kept.call if isinstance(kept, CallRecorded) else call
