"""What the code of an attempt hands to its loop's threads is the attempt's work, as what its tasks do is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from agl_core.recorder._scope import carried

__all__ = ["carry"]

_ABSENT = object()


def carry() -> None:
    """`run_in_executor` of this loop keeps whose the work is, from here on.

    `asyncio.to_thread` does so by itself, and frameworks that call `run_in_executor` for a tool do not. Nothing else of
    the context goes along: what the host traces is as it was. An executor that somebody has set stays.
    """
    loop = asyncio.get_running_loop()
    # Private, and there is no other way to see whether somebody has set one; a loop that has no such name is left be.
    if getattr(loop, "_default_executor", _ABSENT) is None:
        loop.set_default_executor(_Carrying(thread_name_prefix="asyncio"))


class _Carrying(ThreadPoolExecutor):
    """The loop's own, but for that."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(carried(fn), *args, **kwargs)
