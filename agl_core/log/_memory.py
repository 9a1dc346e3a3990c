"""What has to be remembered of a log of any size, without holding it in memory."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Recent", "scratch"]

One = TypeVar("One", bound=Hashable)


class Recent(Generic[One]):
    """A set that forgets what was longest not asked for; forgetting only costs the work of looking again."""

    def __init__(self, most: int = 65_536) -> None:
        self._most = most
        self._kept: OrderedDict[One, None] = OrderedDict()

    def add(self, one: One) -> None:
        """Remember it."""
        self._kept[one] = None
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def __contains__(self, one: object) -> bool:
        if one not in self._kept:
            return False
        self._kept.move_to_end(one)  # type: ignore[arg-type]  # it is among them
        return True

    def __iter__(self) -> Iterator[One]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def scratch(*tables: str) -> sqlite3.Connection:
    """A database of one's own that goes to the disk when it grows, and is gone when it is closed."""
    db = sqlite3.connect("", isolation_level=None, check_same_thread=False, uri=True)
    db.execute("pragma journal_mode = off")
    db.execute("pragma synchronous = off")
    for statement in tables:
        db.execute(statement)
    return db
