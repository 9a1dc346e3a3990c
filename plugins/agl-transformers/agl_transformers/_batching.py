"""One thread that owns the model: it gathers what waits into a batch, writes it, and changes weights in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from time import monotonic

import torch

from agl_core.errors import EngineFailed
from agl_transformers._decoding import Decoder
from agl_transformers._generation import Generation

__all__ = ["Batcher"]

_QUIET = 0.002
"""Seconds without a newcomer after which a batch begins."""
_PATIENCE = 0.01
"""Seconds after which it begins however many still come."""


class Batcher:
    """A queue before a decoder. A batch is not joined once it runs; each of its answers leaves when it is done."""

    def __init__(
        self,
        decoder: Decoder,
        *,
        max_batch: int,
        threads: int | None,
        url: str,
        deliver: Callable[[list[Generation]], None],
    ) -> None:
        self.version = 0
        self._decoder = decoder
        self._max_batch = max_batch
        self._threads = threads
        self._url = url
        self._deliver = deliver
        self._waiting: deque[Generation] = deque()
        self._between: deque[tuple[Callable[[], int], Future[None]]] = deque()
        self._changed = Condition()
        self._is_stopping = False
        self._thread = Thread(target=self._work, name="agl-transformers-decoder", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, generations: Sequence[Generation]) -> None:
        """Write these soon; `deliver` gets each when it is done or has failed, and one that is watched at each step."""
        with self._changed:
            if self._is_stopping:
                raise self._stopped()
            self._waiting.extend(generations)
            self._changed.notify()

    def between(self, change: Callable[[], int]) -> Future[None]:
        """Run `change` as soon as no batch does, before what waits; it returns the version that is served then."""
        done: Future[None] = Future()
        with self._changed:
            if self._is_stopping:
                raise self._stopped()
            self._between.append((change, done))
            self._changed.notify()
        return done

    def stop(self) -> None:
        """Fail what waits and what is being written, and join the thread."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        if self._threads:
            _narrow(self._threads)
        while not self._is_stopping:
            change, batch = self._next()
            if change:
                self._change(*change)
            if batch:
                self._write(batch)
        with self._changed:
            for _, done in self._between:
                done.set_exception(self._stopped())
            self._fail(list(self._waiting), self._stopped())
            self._between.clear()
            self._waiting.clear()

    def _next(self) -> tuple[tuple[Callable[[], int], Future[None]] | None, list[Generation]]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._between or self._is_stopping)
            if self._between:
                return self._between.popleft(), []
            self._gather()
            batch: list[Generation] = []
            while self._waiting and len(batch) < self._max_batch and not self._between and not self._is_stopping:
                generation = self._waiting.popleft()
                if not generation.is_abandoned:
                    batch.append(generation)
            return None, batch

    def _gather(self) -> None:
        """Wait until nobody comes any more; whoever comes later waits for a whole batch."""
        end = monotonic() + _PATIENCE
        seen = 0
        while seen < len(self._waiting) < self._max_batch and (left := end - monotonic()) > 0 and not self._is_stopping:
            seen = len(self._waiting)
            quiet_until = monotonic() + min(_QUIET, left)
            while len(self._waiting) == seen and (rest := quiet_until - monotonic()) > 0:
                self._changed.wait(rest)

    def _change(self, change: Callable[[], int], done: Future[None]) -> None:
        try:
            self.version = change()
        except Exception as error:  # noqa: BLE001 - whoever asked for the change gets it
            done.set_exception(error)
        else:
            done.set_result(None)

    def _write(self, batch: list[Generation]) -> None:
        for generation in batch:
            generation.version = self.version
        left = set(batch)
        watched = [generation for generation in batch if generation.is_watched]
        try:
            for finished in self._decoder.write(batch):
                if finished:
                    left.difference_update(finished)
                    watched = [generation for generation in watched if generation in left]
                if finished or watched:
                    self._deliver([*finished, *watched])
                if self._is_stopping:
                    self._fail(list(left), self._stopped())
                    return
        except Exception as error:  # noqa: BLE001 - a guest's model: its callers get it, the next batch runs
            self._fail(list(left), EngineFailed(self._url, why=f"{type(error).__name__}: {error}"))

    def _fail(self, generations: list[Generation], why: Exception) -> None:
        for generation in generations:
            generation.failure = why
        if generations:
            self._deliver(generations)

    def _stopped(self) -> EngineFailed:
        return EngineFailed(self._url, why="it was stopped")


def _narrow(threads: int) -> None:
    """Let torch use this many threads for what this thread computes, and as before for all others.

    torch keeps the number in the thread that sets it and, for threads to come, in a global: the second is put back.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    restoring = Thread(target=torch.set_num_threads, args=(before,))
    restoring.start()
    restoring.join()
