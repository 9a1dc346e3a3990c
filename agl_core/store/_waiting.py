"""Who waits for what: workers for something to do, algorithms for rollouts to end. Push, never a poll for each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from typing import ClassVar

from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    Event,
    RolloutCancelled,
    RolloutDeleted,
    RolloutEnqueued,
    RolloutFinished,
)
from agl_core.log import SqliteLog
from agl_core.record import Record
from agl_core.store._decisions import Leases
from agl_core.store._taking import Claim, Taken

__all__ = ["Claims", "Ends", "Waiter"]

Heard = Callable[[Sequence[Record]], None]


class Listening:
    """Hears of the log while somebody waits. To wake a thread at each commit, for nobody, would cost more than many."""

    def __init__(self, log: SqliteLog, heard: Heard, events: Iterable[type[Event]]) -> None:
        self._log, self._heard, self._types = log, heard, [event.type for event in events]
        self._who = 0
        self._lock = threading.Lock()
        self._stopping = ExitStack()

    def begin(self) -> None:
        """One more waits. What is committed after this is heard."""
        with self._lock:
            self._who += 1
            if self._who == 1:
                self._stopping.enter_context(self._log.waiting())
                self._stopping.callback(self._log.subscribe(self._heard, types=self._types))

    def end(self) -> None:
        """One less."""
        with self._lock:
            self._who -= 1
            if self._who == 0:
                self._stopping.close()


class Waiter:
    """A worker that wants a rollout."""

    __slots__ = ("future", "gone", "worker_id")

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.future: Future[Taken | None] = Future()
        self.future.set_running_or_notify_cancel()  # who leaves says so by `leave`, where a claim is not lost
        self.gone = False
        """It gave up waiting; what is claimed for it is given back."""


GiveBack = Callable[[Sequence[Taken]], None]


class Claims:
    """Gathers the workers that wait, and claims for all of them in one transaction."""

    hears: ClassVar = (RolloutEnqueued, AttemptExpired, AttemptFinished)
    """After these, something may wait in the queue."""

    def __init__(self, log: SqliteLog, leases: Leases, give_back: GiveBack) -> None:
        self._log, self._leases, self._give_back = log, leases, give_back
        self._waiters: deque[Waiter] = deque()
        self._busy = False
        self._again = False
        self._lock = threading.Lock()
        self._listening = Listening(log, self.heard, self.hears)
        self._is_listening = False

    def wait(self, worker_id: str) -> Waiter:
        """A waiter whose future gets the next rollout there is."""
        waiter = Waiter(worker_id)
        with self._lock:
            self._waiters.append(waiter)
            if not self._is_listening:
                self._is_listening = True
                self._listening.begin()
        self.pump()
        return waiter

    def leave(self, waiter: Waiter) -> Taken | None:
        """It waits no more. What was claimed for it in the same moment is returned: somebody must begin it."""
        with self._lock:
            waiter.gone = True
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            self._unwatch()
        is_served = waiter.future.done() and waiter.future.exception() is None
        return waiter.future.result() if is_served else None

    def close(self) -> None:
        """Nobody waits any more: there will be nothing."""
        with self._lock:
            waiters, self._waiters = list(self._waiters), deque()
            for waiter in waiters:
                waiter.gone = True
            self._unwatch()
        for waiter in waiters:
            waiter.future.set_result(None)

    def heard(self, records: Sequence[Record]) -> None:
        """Something may be waiting in the queue."""
        for record in records:
            if isinstance(record.event, self.hears):
                self.pump()
                return

    def pump(self) -> None:
        """Claim for all who wait, unless that is being done: then once more after it."""
        with self._lock:
            if self._busy:
                self._again = True
                return
            waiters = list(self._waiters)
            if not waiters:
                return
            self._busy, self._again = True, False
        claim = Claim([waiter.worker_id for waiter in waiters], self._leases)
        try:
            claimed = self._log.submit(claim)
        except Exception as error:  # noqa: BLE001 - the log is closed: whoever waits must hear of it
            self._fail(error)
            return
        claimed.add_done_callback(lambda done: self._hand_out(waiters, claim, done))

    def _hand_out(self, waiters: list[Waiter], claim: Claim, done: Future[Sequence[Record]]) -> None:
        error = done.exception()
        if error is not None:
            self._fail(error)
            return
        taken = claim.taken(done.result())
        unwanted = []
        with self._lock:
            # One each, in the order they were asked for: an attempt bears the name of the worker it was claimed for.
            for waiter, one in zip(waiters, taken, strict=False):
                if waiter.gone:
                    unwanted.append(one)
                else:
                    self._waiters.remove(waiter)
                    waiter.future.set_result(one)
            self._busy = False
            again = self._again or (bool(taken) and bool(self._waiters))
            self._unwatch()
        if unwanted:
            self._give_back(unwanted)
        if again:
            self.pump()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            waiters, self._waiters, self._busy = list(self._waiters), deque(), False
            self._unwatch()
        for waiter in waiters:
            waiter.future.set_exception(error)

    def _unwatch(self) -> None:
        if not self._waiters and self._is_listening:
            self._is_listening = False
            self._listening.end()


class Ends:
    """Futures that resolve when a set of rollouts has come to its end."""

    hears: ClassVar = (RolloutFinished, RolloutCancelled, RolloutDeleted)
    """After these, a rollout has."""

    def __init__(self, log: SqliteLog, finished: Callable[[Sequence[str]], set[str]]) -> None:
        self._finished = finished
        self._listening = Listening(log, self.heard, self.hears)
        self._open: dict[str, list[_Set]] = {}
        self._lock = threading.Lock()

    def wait(self, rollout_ids: Sequence[str], progress: Callable[[int], None] | None = None) -> Future[None]:
        """Resolves when all of them are settled; `progress` hears how many are."""
        waiting = _Set(set(rollout_ids), progress)
        self._listening.begin()
        with self._lock:
            for rollout_id in waiting.left:
                self._open.setdefault(rollout_id, []).append(waiting)

        def done(_future: Future[None]) -> None:
            self._listening.end()
            self._forget(waiting)

        waiting.future.add_done_callback(done)
        # Asked after the future is known, so that no end falls between.
        self._settle(self._finished(list(rollout_ids)))
        if not rollout_ids:
            waiting.resolve()
        return waiting.future

    def _forget(self, waiting: _Set) -> None:
        """Who gave up is not kept until the last of its rollouts has ended."""
        with self._lock:
            for rollout_id in waiting.left:
                others = [other for other in self._open.pop(rollout_id, ()) if other is not waiting]
                if others:
                    self._open[rollout_id] = others

    def heard(self, records: Sequence[Record]) -> None:
        """Some rollouts may have ended."""
        ended = {record.event.rollout_id for record in records if isinstance(record.event, self.hears)}
        if ended:
            self._settle(ended)

    def _settle(self, rollout_ids: set[str]) -> None:
        done, changed = [], {}
        with self._lock:
            for rollout_id in rollout_ids:
                for waiting in self._open.pop(rollout_id, ()):
                    waiting.left.discard(rollout_id)
                    changed[id(waiting)] = waiting
                    if not waiting.left:
                        done.append(waiting)
        for waiting in changed.values():
            if waiting.progress:
                waiting.progress(waiting.all - len(waiting.left))
        for waiting in done:
            waiting.resolve()


class _Set:
    __slots__ = ("all", "future", "left", "progress")

    def __init__(self, left: set[str], progress: Callable[[int], None] | None) -> None:
        self.left, self.all, self.progress = left, len(left), progress
        self.future: Future[None] = Future()

    def resolve(self) -> None:
        """All of it has ended; whoever gave up in the same moment does not hear of it."""
        with suppress(InvalidStateError):
            self.future.set_result(None)
