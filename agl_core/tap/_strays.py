"""Model calls that may be an agent's, and belong to no attempt: they are counted, because they cannot be kept."""

from __future__ import annotations

import logging
from threading import Lock

__all__ = ["STRAYS", "Strays"]

_log = logging.getLogger(__name__)


class Strays:
    """A count that is taken by whoever can write it down."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0

    def seen(self, place: str) -> None:
        """One more, sent there; of the first one somebody is told."""
        with self._lock:
            self._count += 1
            is_first = self._count == 1
        if is_first:
            _log.warning(
                "a model call to %s belongs to no attempt, and is only counted: a thread of the agent's own has to be "
                "started in its context (`contextvars.copy_context().run`, `asyncio.to_thread`), or ask the gateway",
                place,
            )

    @property
    def count(self) -> int:
        """How many there were since it was last taken, for who only looks."""
        with self._lock:
            return self._count

    def take(self) -> int:
        """How many there were since it was last taken."""
        with self._lock:
            count, self._count = self._count, 0
        return count


STRAYS = Strays()
"""Of this process, as its patches are."""
