"""One model call that the tap sees, from its request to the end of its answer. Nothing here raises into the agent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import replace
from threading import Lock
from urllib.parse import urlsplit

from agl_core.errors import OutsideAttempt
from agl_core.events import CallRecorded, CaptureLost, ModelCall
from agl_core.ids import new_id
from agl_core.recorder import Scope, current, is_machinery
from agl_core.tap._answer import Answer, Cut, Decode
from agl_core.tap._asked import Asked, attempt_in, dialect_of, read
from agl_core.tap._strays import STRAYS
from agl_core.tap._tries import MARK, begun_try
from agl_core.wire import openai_embeddings, policy_version

__all__ = ["LEFT", "Call", "begun", "here", "inside", "sign"]

LEFT = Cut(error="client_disconnected")
"""The agent wanted no more of it; the gateway's word for the same."""
inside: ContextVar[bool] = ContextVar("agl_tap_inside", default=False)
"""Whether a client is sending already: one that is built on another makes one call, not two."""
_log = logging.getLogger(__name__)


def here(url: Callable[[], str]) -> Scope | None:
    """The attempt whose code is sending; nothing where no attempt is under way, or a client sends for another one."""
    if inside.get():
        return None
    try:
        return current("a model call")
    except OutsideAttempt:
        parts = urlsplit(url())
        if not is_machinery() and dialect_of(parts.path) is not None and attempt_in(parts.path) is None:
            STRAYS.seen(parts.netloc.rpartition("@")[2])
        return None


def begun(scope: Scope, path: str, headers: MutableMapping[str, str], content: Callable[[], bytes]) -> Call | None:
    """The call that a POST is, noted in the log; nothing when it is none, or not ours to record.

    A request to the gateway is the gateway's to record: it is given the headers by which both know the call.
    """
    try:
        if (dialect := dialect_of(path)) is None:
            return None
        if (attempt := attempt_in(path)) is not None:
            # A foreign host may have such a path; the ids of this attempt only its own gateway knows.
            if attempt == (scope.rollout_id, scope.attempt_id):
                sign(headers, scope)
            return None
        if (asked := read(dialect, content())) is None:
            return None
        return Call(scope, asked, mark=headers.get(MARK))
    except Exception as error:  # noqa: BLE001 - the rim: the agent's request leaves, whatever we do
        _lost(scope, error)
        return None


class Call:
    """A call under way. It ends once, whoever says so first."""

    def __init__(self, scope: Scope, asked: Asked, *, mark: str | None) -> None:
        self._scope, self._asked = scope, asked
        self._id = new_id("ca")
        scope.asks(self._id)
        self._place = scope.branches.place()
        self._try = begun_try(self._id, mark)
        self._started_at, self._started = time.time_ns(), time.perf_counter()
        self._first_token: float | None = None
        self._answer: Answer | None = None
        self._over = Lock()
        scope.recorder.begin_call(self._id, scope, model=asked.model)

    def answered(self, http_status: int, content_type: str, *, decode: Decode | None = None) -> None:
        """The answer begins."""
        try:
            self._answer = Answer(self._asked, http_status=http_status, content_type=content_type, decode=decode)
        except Exception as error:  # noqa: BLE001 - the rim
            self.lost(error)

    def heard(self, piece: bytes) -> None:
        """The next bytes of it."""
        if self._answer is None or self._over.locked():
            return
        try:
            if self._first_token is None and self._answer.is_streamed:
                self._first_token = time.perf_counter() - self._started
            self._answer.add(piece)
        except Exception as error:  # noqa: BLE001 - the rim
            self.lost(error)

    def ended(self, cut: Cut | None = None) -> None:
        """No more will come: it was all, or `cut` says why not."""
        # A latch that is never opened again: streams are closed from other threads, and by the garbage collector.
        if not self._over.acquire(blocking=False):
            return
        try:
            self._keep(self._told(cut))
        except Exception as error:  # noqa: BLE001 - the rim
            self._miss(error)

    def lost(self, error: Exception) -> None:
        """We cannot follow it any more. That it was made is kept, what came of it is not known."""
        if self._over.acquire(blocking=False):
            self._miss(error)

    def _miss(self, error: Exception) -> None:
        _warn(error)
        try:
            call = ModelCall(model=self._asked.model, dialect=self._asked.dialect.NAME)
            self._keep(replace(self._event(call), status="unknown", error="capture_lost"))
        except Exception as again:  # noqa: BLE001 - the rim
            _lost(self._scope, again)

    def _told(self, cut: Cut | None) -> CallRecorded:
        dialect = self._asked.dialect
        call = dialect.request(self._asked.body)
        if self._answer is None:
            cut = cut or LEFT
            return replace(self._event(call), status=cut.status, error=cut.error)
        verdict = self._answer.verdict(cut)
        return replace(
            self._event(dialect.response(call, verdict.body)),
            status=verdict.status,
            error=verdict.error,
            http_status=self._answer.http_status,
            policy_version=policy_version(verdict.body),
            first_token=self._first_token,
        )

    def _event(self, call: ModelCall) -> CallRecorded:
        return CallRecorded(
            call_id=self._id,
            rollout_id=self._scope.rollout_id,
            attempt_id=self._scope.attempt_id,
            call=call,
            role="tool" if self._asked.dialect is openai_embeddings else "policy",
            agent=self._scope.agent,
            parent_call_id=self._scope.parent_call,
            retry_of=self._try.before.call_id if self._try.before else None,
            started_at=self._started_at,
            tries=self._try.failures,
            latency=time.perf_counter() - self._started,
            requests=0,
            place=self._place,
        )

    def _keep(self, event: CallRecorded) -> None:
        self._try.error = event.error
        # Not waited for here: an event loop must not stand still for a disk. The runner waits for all that is pending.
        self._scope.expect(self._scope.recorder.end_call(event, self._scope))


def sign(headers: MutableMapping[str, str], scope: Scope) -> None:
    scope.asks(headers.setdefault("AGL-Call-Id", new_id("ca")))
    for name, value in scope.headers().items():
        headers.setdefault(name, value)
    if (place := scope.branches.place()) is not None:
        headers.setdefault("AGL-Place", place)


def _lost(scope: Scope, error: Exception) -> None:
    _warn(error)
    try:
        event = CaptureLost(count=1, where="agl_core.tap", why=type(error).__name__)
        scope.expect(scope.recorder.record(event, scope))
    except Exception as again:  # noqa: BLE001 - the rim
        _log.warning("that a call was lost cannot be kept (%s)", type(again).__name__)


def _warn(error: Exception) -> None:
    # Only what kind of error: its message may quote the request.
    _log.warning("the tap could not follow a model call (%s)", type(error).__name__, exc_info=error)
