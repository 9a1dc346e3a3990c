"""Writes facts of attempts, from any thread; what could not be kept is said as soon as it can be."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from agl_core.clock import Clock, System
from agl_core.errors import AglError, LogError
from agl_core.events import CallRecorded, Event, ModelCall, RewardGiven, Role, SpanRecorded
from agl_core.log import Decide, Owner, SqliteLog, View
from agl_core.record import Draft, Record, work_stream
from agl_core.recorder._forked import Of, Said, What, family
from agl_core.recorder._scope import Attributed
from agl_core.spans import rewards

__all__ = ["LoopRecorder", "Recorder"]

_PATIENCE = 0.25
"""Seconds that a call waits for its note to be durable."""


class Recorder:
    """Writes facts of attempts. Methods return at once; their futures resolve when the fact is durable."""

    def __init__(self, log: SqliteLog, *, actor: str = "agl-core", clock: Clock | None = None) -> None:
        self._log, self._actor = log, actor
        self._clock: Clock = clock or System()
        self._owner = Owner.me()
        self._family = family()
        self._family.add(self)
        self._of_children: dict[str, list[Future[Sequence[Record]]]] = {}
        """By attempt, what forked processes wrote for it."""
        self._keeps_up = True
        """Whether the log took its last note, and in time."""
        self._lock = threading.Lock()
        self._unnoted: set[str] = set()
        """Calls that are out while the log has not noted them."""
        self._owed: dict[str, tuple[CallRecorded, Attributed]] = {}
        """Calls whose end the log did not take, and without what was said in them: they may be many."""

    @property
    def url(self) -> str:
        """Of the log it writes to: another process may open that too."""
        return self._log.url

    def note(self, event: Event) -> Future[Sequence[Record]]:
        """Keep an event that belongs to no attempt: of a tracer, of the machinery."""
        if self._is_forked():
            return self._say("note", event=event)
        return self._log.submit([Draft(stream="log", event=event, actor=self._actor)])

    def record(self, event: Event, of: Attributed, *, key: str | None = None) -> Future[Sequence[Record]]:
        """Keep an event of an attempt."""
        if self._is_forked():
            return self._say("record", of, event=event, key=key)
        if isinstance(event, SpanRecorded) and (stated := rewards.stated(event)):
            return self._log.submit(self._rewarding(event, stated, of, key))
        return self._log.submit([self._draft(event, of, key)])

    def begin_call(self, call_id: str, of: Attributed, *, model: str) -> Future[Sequence[Record]]:
        """A call is about to leave: if this process dies, the log will say that nobody knows what came of it.

        The one method that waits: a note that is not in the file when the process dies would be of no use. It waits for
        a moment only; a log that failed, or was slower than that, is not waited for until it has taken a note again.
        """
        if self._is_forked():
            return self._say("begin", of, call_id=call_id, model=model)
        noted = self._log.submit(self.begins(call_id, of, model), eager=True)
        if self._keeps_up:
            with suppress(TimeoutError):
                noted.exception(timeout=_PATIENCE)
        self._keeps_up = noted.done() and noted.exception() is None
        if not self._keeps_up:
            with self._lock:
                self._unnoted.add(call_id)
                self._log.owe(1)
            noted.add_done_callback(partial(self._heard, call_id))
        return noted

    def end_call(self, event: CallRecorded, of: Attributed) -> Future[Sequence[Record]]:
        """A call has come to its end, whichever; one that cannot be kept is told as unknown, as soon as that can be."""
        if self._is_forked():
            return self._say("end", of, event=event)
        kept = self._log.submit(self.ends(event, of), eager=not _in_loop())
        kept.add_done_callback(partial(self._settle, event, of))
        return kept

    def own_up(self) -> Future[Sequence[Record]]:
        """Say of the calls that could not be kept that nobody knows what came of them.

        It is tried by itself as soon as the log takes another call.
        """
        with self._lock:
            owed, self._owed = self._owed, {}

        def unknown(view: View) -> list[Draft]:
            drafts = []
            for call_id, (event, of) in owed.items():
                view.in_flight.drop("call", call_id)
                if not view.rows("select 1 from calls where call_id = ?", (call_id,)):
                    drafts.append(self._draft(event, of, f"call/{call_id}"))
            return drafts

        def settle(told: Future[Sequence[Record]]) -> None:
            if told.exception() is None:
                self._found(owed)
                return
            with self._lock:
                self._owed.update(owed)

        told = self._log.submit(unknown)
        told.add_done_callback(settle)
        return told

    def hear(self, said: Said) -> Future[Sequence[Record]]:
        """Write for a process that was forked from this one; `of_children` has what this gives."""
        try:
            kept = self._hear(said)
        except AglError as error:
            kept = Future()
            kept.set_exception(error)
        if said.of is not None:
            with self._lock:
                others = self._of_children.get(said.of.attempt_id, ())
                open_ = [other for other in others if not other.done() or other.exception() is not None]
                self._of_children[said.of.attempt_id] = [*open_, kept]
        return kept

    def of_children(self, attempt_id: str) -> list[Future[Sequence[Record]]]:
        """What forked processes wrote for an attempt, unless it is kept: for whoever settles it, once."""
        with self._lock:
            return self._of_children.pop(attempt_id, [])

    def for_coroutines(self) -> LoopRecorder:
        """The same, for those who await: what the coroutines of a loop write in one turn is one transaction."""
        return LoopRecorder(self, self._log)

    def begins(self, call_id: str, of: Attributed, model: str, role: Role = "policy", *, requests: int = 0) -> Decide:
        """What `begin_call` decides, for who writes it himself."""
        data = {
            "run_id": of.run_id,
            "rollout_id": of.rollout_id,
            "attempt_id": of.attempt_id,
            "model": model,
            "role": role,
            "requests": requests,
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

    def _rewarding(self, span: SpanRecorded, stated: Sequence[RewardGiven], of: Attributed, key: str | None) -> Decide:
        """The span and its rewards together, unless the span was there before, through whichever door it came."""

        def decide(view: View) -> list[Draft]:
            ids = (span.rollout_id, span.attempt_id, span.span_id)
            if view.rows("select 1 from spans where rollout_id = ? and attempt_id = ? and span_id = ?", ids):
                return []
            given = (self._draft(reward, of, rewards.key(span, reward)) for reward in stated)
            return [self._draft(span, of, key), *given]

        return decide

    def _is_forked(self) -> bool:
        return os.getpid() != self._owner.pid

    def _say(self, what: What, of: Attributed | None = None, **fields: Any) -> Future[Sequence[Record]]:
        whose = Of(of.run_id, of.rollout_id, of.attempt_id) if of is not None else None
        return self._family.say(Said(recorder=id(self), what=what, of=whose, **fields))

    def _hear(self, said: Said) -> Future[Sequence[Record]]:
        match said:
            case Said(what="begin", of=Of() as of):
                return self.begin_call(said.call_id, of, model=said.model)
            case Said(what="end", of=Of() as of, event=CallRecorded() as event):
                return self.end_call(event, of)
            case Said(what="record", of=Of() as of, event=Event() as event):
                return self.record(event, of, key=said.key)
            case Said(event=Event() as event):
                return self.note(event)
        raise AssertionError(said)

    def _settle(self, event: CallRecorded, of: Attributed, kept: Future[Sequence[Record]]) -> None:
        if kept.exception() is not None:
            call = ModelCall(model=event.call.model, dialect=event.call.dialect)
            with self._lock:
                self._owed[event.call_id] = (replace(event, call=call, status="unknown", error="capture_lost"), of)
            return
        if self._unnoted:
            self._found([event.call_id])
        if self._owed:
            with suppress(LogError):  # it is being closed: who opens it next finds them under way
                self.own_up()

    def _heard(self, call_id: str, noted: Future[Sequence[Record]]) -> None:
        if noted.exception() is None:
            self._keeps_up = True
            self._found([call_id])

    def _found(self, call_ids: Iterable[str]) -> None:
        """The log knows of them now."""
        with self._lock:
            known = self._unnoted.intersection(call_ids)
            if known:
                self._unnoted -= known
                self._log.owe(-len(known))

    def _draft(self, event: Event, of: Attributed, key: str | None) -> Draft:
        return Draft(
            stream=work_stream(of.rollout_id, of.run_id),
            event=event,
            key=key,
            correlation_id=of.run_id or of.rollout_id,
            actor=self._actor,
            occurred_at=self._clock.now(),
        )


def _in_loop() -> bool:
    """Whether other coroutines wait for this one, and may have something to write too."""
    return asyncio._get_running_loop() is not None  # noqa: SLF001 - the public one raises, which costs more than asking


class LoopRecorder:
    """Keeps calls for the coroutines of a loop; its futures are theirs."""

    def __init__(self, recorder: Recorder, log: SqliteLog) -> None:
        self._recorder, self._log = recorder, log

    def begin_call(
        self, call_id: str, of: Attributed, *, model: str, role: Role = "policy", requests: int = 1
    ) -> asyncio.Future[Sequence[Record]]:
        """As the recorder's; `role` and `requests` are the call's, if nobody lives to say what came of it."""
        return self._log.soon(self._recorder.begins(call_id, of, model, role, requests=requests))

    def end_call(self, event: CallRecorded, of: Attributed) -> asyncio.Future[Sequence[Record]]:
        """As the recorder's."""
        return self._log.soon(self._recorder.ends(event, of))
