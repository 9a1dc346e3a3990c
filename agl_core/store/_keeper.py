"""The thread that keeps leases: renews those of this process, ends those of the silent and the dead."""

from __future__ import annotations

import logging
import sqlite3
import threading

from agl_core.errors import AglError
from agl_core.log import SqliteLog
from agl_core.log._in_flight import COPIED, DUE, RENEWED
from agl_core.store._decisions import Leases, expire, renew
from agl_core.store._recovering import dead, orphans, recover_calls

__all__ = ["Keeper"]

_TICK = 1.0
"""Seconds between looks at the clock; an idle look is one indexed read."""
_NEIGHBOURS = 5
"""Every so many looks, ask whether the processes that hold leases still live."""


class Keeper:
    """An OS thread of its own, so that no busy agent starves it."""

    def __init__(self, log: SqliteLog, leases: Leases) -> None:
        self._log, self._leases = log, leases
        self._stop = threading.Event()
        self._logger = logging.getLogger(__name__)
        self._thread = threading.Thread(target=self._run, name="agl-lease-keeper", daemon=True)

    def start(self) -> None:
        """Clear up after dead processes, then keep watch."""
        if self._log.rows("select 1 from in_flight where kind = ?", (COPIED,)):
            self._log.transact(orphans)
        self._clear_up()
        if self._is_overdue():
            self._log.transact(lambda view: expire(view, self._leases))
        self._thread.start()

    def stop(self) -> None:
        """Keep watch no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        tick = 0
        while not self._stop.wait(_TICK):
            tick += 1
            try:
                for _ in range(0, self._due(), RENEWED):
                    self._log.transact(lambda view: renew(view, self._leases))
                if self._is_overdue():
                    self._log.transact(lambda view: expire(view, self._leases))
                if tick % _NEIGHBOURS == 0:
                    self._clear_up()
            except (AglError, sqlite3.Error) as error:
                # The file may be busy, or closing: the next tick tries again, and a lease lasts many of them.
                self._logger.warning("leases could not be kept: %s", error)

    def _clear_up(self) -> None:
        gone = dead(self._log) - {self._leases.owner}
        if gone:
            self._log.transact(
                lambda view: [*recover_calls(view, gone), *expire(view, self._leases, dead=gone)],
            )

    def _due(self) -> int:
        """How many leases of this process are to be renewed."""
        given = ("lease", self._leases.clock.now(), self._leases.renewal(), str(self._leases.owner))
        return int(self._log.rows(f"select count(*) from in_flight where {DUE}", given)[0][0])  # noqa: S608 - our words

    def _is_overdue(self) -> bool:
        sql = "select 1 from in_flight where kind = 'lease' and deadline < ? limit 1"
        return bool(self._log.rows(sql, (self._leases.clock.now(),)))
