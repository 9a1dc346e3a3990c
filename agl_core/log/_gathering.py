"""What the coroutines of a loop write in one turn of it: one transaction, in their own thread if nobody else writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from agl_core.errors import LogError
from agl_core.log._protocol import Expected, Work
from agl_core.log._write import Item, Writer
from agl_core.record import Record

__all__ = ["Gathering", "Unheard"]

_GROUP = 64
"""Pieces of work for which a loop is held up at once."""

Unheard = Callable[[Sequence[Record]], None]
"""Hears of what was written for somebody who waits no more."""


@dataclass(frozen=True, slots=True)
class _Pending:
    item: Item
    waiter: asyncio.Future[Sequence[Record]]
    unheard: Unheard | None

    def hand_over(self) -> None:
        if self.waiter.cancelled():
            self.tell()
        elif self.item.error is not None:
            self.waiter.set_exception(self.item.error)
        else:
            self.waiter.set_result(self.item.records)

    def tell(self) -> None:
        if self.unheard is not None and self.item.error is None:
            self.unheard(self.item.records)


class Gathering:
    """Of one loop."""

    def __init__(self, writer: Writer, loop: asyncio.AbstractEventLoop) -> None:
        self._writer, self._loop = writer, loop
        self._pending: list[_Pending] = []

    def add(self, work: Work, expected: Expected, unheard: Unheard | None) -> asyncio.Future[Sequence[Record]]:
        """Written at the end of this turn. Who cancels the future takes nothing back; then `unheard` hears of it."""
        pending = _Pending(self._writer.item(work, expected), self._loop.create_future(), unheard)
        self._pending.append(pending)
        if len(self._pending) == 1:
            self._loop.call_soon(self._write)
        return pending.waiter

    def _write(self) -> None:
        group, self._pending = self._pending[:_GROUP], self._pending[_GROUP:]
        if self._pending:
            self._loop.call_soon(self._write)
        items = [pending.item for pending in group]
        if self._writer.write_now(items):
            for pending in group:
                pending.hand_over()
            return
        for pending in group:
            pending.item.told = partial(self._call, pending)
        try:
            self._writer.queue(items)
        except LogError as error:
            for item in items:
                item.settle((), error)

    def _call(self, pending: _Pending, _item: Item) -> None:
        try:
            self._loop.call_soon_threadsafe(pending.hand_over)
        except RuntimeError:  # the loop is closed: nobody waits there any more
            pending.tell()
