"""The log: facts, in order, for ever."""

from __future__ import annotations

from agl_core.log._assemble import Stored, assemble, stored
from agl_core.log._folding import rebuild
from agl_core.log._follow import Subscription
from agl_core.log._owner import Owner, is_alive
from agl_core.log._protocol import Decide, EventLog, Expected, Projection, View, Work
from agl_core.log._sqlite import SqliteLog
from agl_core.log._verify import Finding, verify

__all__ = [
    "Decide",
    "EventLog",
    "Expected",
    "Finding",
    "Owner",
    "Projection",
    "SqliteLog",
    "Stored",
    "Subscription",
    "View",
    "Work",
    "assemble",
    "is_alive",
    "rebuild",
    "stored",
    "verify",
]
