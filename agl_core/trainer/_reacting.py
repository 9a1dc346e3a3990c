"""Reactions at work: they hear a run's log from its beginning, in its order, and write what they decide, once."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import AsyncExitStack

from agl_core.algorithm import Following
from agl_core.events import Event, PluginFailed
from agl_core.log import SqliteLog
from agl_core.record import Draft, Record
from agl_core.trainer._reactions import Reactions

__all__ = ["Reacting"]

_log = logging.getLogger(__name__)


class Reacting:
    """Follows the log while the run goes on, and catches up with it when it is asked to.

    A reaction that raises is heard no more: that is a fact, and the run goes on, as what a guest does wrong is no
    reason to lose a training. When the run is resumed, it is tried again, from the beginning.
    """

    def __init__(self, log: SqliteLog, run_id: str, reactions: Reactions) -> None:
        self._kept, self._run_id = log, run_id
        self._following = [Following(reaction, run_id, seat) for seat, reaction in reactions.items()]
        self._at = 0
        self._lock = threading.Lock()

    def begin(self, closing: AsyncExitStack) -> None:
        """Hear all that the run's log has by now, and what comes, until `closing` ends."""
        if not self._following:
            return
        started = self._kept.get(self._run_id)
        self._at = started.position - 1 if started is not None else 0
        closing.callback(self._kept.subscribe(self._heard, types=self._types()))

    async def catch_up(self) -> None:
        """Return when every reaction has heard all that was in the log, and what it decided is there, too."""
        if self._following:
            await asyncio.to_thread(self._catch_up)

    def _heard(self, _records: Sequence[Record]) -> None:
        # Read again, from where this got to: what is delivered may be behind it.
        self._catch_up()

    def _catch_up(self) -> None:
        with self._lock:
            is_over = not self._following
            while not is_over:  # what one decides, another may hear
                head, types = self._kept.head(), self._types()
                records = self._kept.read(after=self._at, until=head, types=types)
                is_over = sum(map(self._tell, records)) == 0
                self._at = head

    def _tell(self, record: Record) -> bool:
        """Whether anything was decided."""
        decided = [self._told(following, record) for following in list(self._following)]
        return any(decided)

    def _told(self, following: Following[object], record: Record) -> bool:
        try:
            return following.hear(record, self._kept.append)
        except Exception as error:  # noqa: BLE001 - a guest: what it raises becomes a fact
            self._following.remove(following)
            why = f"{type(error).__name__}: {error}"
            _log.error(
                "reaction %s raised at position %d, and is heard no more: %s", following.seat, record.position, why
            )
            key = f"reaction/{self._run_id}/{following.seat}/failed/{record.position}"
            if self._kept.get(key) is None:
                failed = PluginFailed(name=following.seat, hook="agl_register_reactions", why=why)
                self._kept.append([Draft(stream="log", event=failed, key=key, correlation_id=self._run_id)])
            return False

    def _types(self) -> list[str]:
        """Those that any of them hears; none named means all."""
        heard: list[type[Event]] = [one for following in self._following for one in following.reaction.hears]
        if not all(following.reaction.hears for following in self._following):
            return []
        return sorted({one.type for one in heard})
