"""Time as an argument: the system's clock, and one that stands still."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Clock", "Still", "System"]


class Clock(Protocol):
    """Tells the time; nothing below the rim asks the system for it."""

    def now(self) -> int:
        """Nanoseconds since the epoch."""
        ...


class System:
    """The machine's own clock."""

    def now(self) -> int:
        """Nanoseconds since the epoch, as the machine believes."""
        return time.time_ns()


@dataclass(slots=True)
class Still:
    """A clock for tests: it moves when told to."""

    at: int = 1_700_000_000_000_000_000

    def now(self) -> int:
        """The time it was set to."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self.at += int(seconds * 1e9)
