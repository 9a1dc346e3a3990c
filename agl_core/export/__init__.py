"""Rows out of a log: questions in SQL, frames, and files that hold all of it."""

from __future__ import annotations

from agl_core.export._exporter import Exported, Exporter, Skipped
from agl_core.export._files import Moved, export_log, import_log
from agl_core.export._frames import frame
from agl_core.export._log import Log, LogArchive
from agl_core.export._query import Answer, query
from agl_core.export._views import VIEWS, Column, View

__all__ = [
    "VIEWS",
    "Answer",
    "Column",
    "Exported",
    "Exporter",
    "Log",
    "LogArchive",
    "Moved",
    "Skipped",
    "View",
    "export_log",
    "frame",
    "import_log",
    "query",
]
