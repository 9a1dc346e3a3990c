"""The log: facts, in order, for ever."""

from __future__ import annotations

from agl_core.log._archive import Archive, unpack
from agl_core.log._assemble import assemble
from agl_core.log._compact import Compacted, compact, vacuum
from agl_core.log._copy import Copied, copy
from agl_core.log._exported import COLUMNS, ENVELOPE, Format, digest
from agl_core.log._folding import rebuild
from agl_core.log._follow import Subscription
from agl_core.log._owner import Owner, is_alive
from agl_core.log._past import Past, Pasts
from agl_core.log._protocol import Decide, EventLog, Expected, Projection, View, Work
from agl_core.log._recover import Lost, Recovered, recover
from agl_core.log._sqlite import SqliteLog
from agl_core.log._stored import Moving, Page, Stored, pages, stored
from agl_core.log._verify import Finding, verify

__all__ = [
    "COLUMNS",
    "ENVELOPE",
    "Archive",
    "Compacted",
    "Copied",
    "Decide",
    "EventLog",
    "Expected",
    "Finding",
    "Format",
    "Lost",
    "Moving",
    "Owner",
    "Page",
    "Past",
    "Pasts",
    "Projection",
    "Recovered",
    "SqliteLog",
    "Stored",
    "Subscription",
    "View",
    "Work",
    "assemble",
    "compact",
    "copy",
    "digest",
    "is_alive",
    "pages",
    "rebuild",
    "recover",
    "stored",
    "unpack",
    "vacuum",
    "verify",
]
