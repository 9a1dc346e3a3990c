"""What every executor promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

__all__ = ["Executor", "Work"]

Work = Callable[[str], Awaitable[object]]
"""Runs one worker, by its id, until it is cancelled or has had its share."""


class Executor(Protocol):
    """Keeps a number of workers at work."""

    n_runners: int

    async def start(self, work: Work, worker_ids: list[str]) -> None:
        """Set all workers going; returns at once."""
        ...

    async def stop(self) -> None:
        """Stop all workers: what they were at is given back, nothing of it is lost. Calling it twice is harmless."""
        ...

    def failure(self) -> BaseException | None:
        """What a worker died of, if one did: the machinery's fault, never an agent's."""
        ...
