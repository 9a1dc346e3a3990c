"""The one door to models: an HTTP proxy that knows whose call it is, and keeps it before it answers."""

from __future__ import annotations

from agl_core.gateway._gateway import Gateway
from agl_core.gateway._ledger import Ledger
from agl_core.gateway._ports import Admissions, Calls, Facts, Memory, Question, Recording

__all__ = ["Admissions", "Calls", "Facts", "Gateway", "Ledger", "Memory", "Question", "Recording"]
