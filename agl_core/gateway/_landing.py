"""The way home from the log's thread: whatever has landed by then comes to the loop with one knock."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from agl_core.errors import AglError
from agl_core.gateway._refusals import Refused

__all__ = ["Landing"]


class Landing:
    """Waits for futures of another thread.

    `asyncio.wrap_future` would write to the loop's pipe for each; a group of calls is committed at once, and here
    it is woken at once.
    """

    def __init__(self) -> None:
        self._landed: deque[asyncio.Future[None]] = deque()
        self._is_knocked = False

    async def durable(self, kept: Future[Any]) -> None:
        """Wait for the log; a call that cannot be kept is refused, and the reason is the log's."""
        if not kept.done():
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            kept.add_done_callback(lambda _: self._arrive(loop, waiter))
            await waiter
        try:
            kept.result()
        except AglError as error:
            raise Refused.because(error) from error
        except OSError as error:
            raise Refused(
                503, "CAPTURE_FAILED", f"the call cannot be kept ({error}); it is refused, not lost"
            ) from error

    def _arrive(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
        # Append first, look second; `_wake_all` does it the other way round, so that nobody is left behind.
        self._landed.append(waiter)
        if not self._is_knocked:
            self._is_knocked = True
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        self._is_knocked = False
        while self._landed:
            waiter = self._landed.popleft()
            if not waiter.done():
                waiter.set_result(None)
