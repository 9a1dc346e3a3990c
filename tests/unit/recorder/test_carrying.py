"""Work that a loop hands to its threads is the attempt's."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

from agl_core.errors import OutsideAttempt
from agl_core.recorder import Scope, attributed, carry, current

NOBODY = None
"""The recorder of attempts that say nothing."""
HOST: ContextVar[str] = ContextVar("host", default="none")


def test_work_that_a_loop_hands_to_its_threads_is_the_attempts():
    """As frameworks run tools that block; of the context no more goes along, and outside an attempt nothing does."""
    scope = Scope(recorder=NOBODY, run_id=None, rollout_id="ro-1", attempt_id="at-1")

    def look():
        try:
            return current().attempt_id, current().last_call(), HOST.get()
        except OutsideAttempt:
            return None

    async def story():
        carry()
        loop = asyncio.get_running_loop()
        HOST.set("told")
        with attributed(scope):
            scope.asks("ca-1")
            inside = await loop.run_in_executor(None, look)
        return inside, await loop.run_in_executor(None, look)

    assert asyncio.run(story()) == (("at-1", "ca-1", "none"), None)


def test_an_executor_that_somebody_has_set_stays():
    """It is the host's."""

    async def story():
        with ThreadPoolExecutor(1) as own:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(own)
            carry()
            return await loop.run_in_executor(None, threading.current_thread) in own._threads

    assert asyncio.run(story())
