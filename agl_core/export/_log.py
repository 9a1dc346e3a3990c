"""A log as people open it: it can be asked for frames and answers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from agl_core.export._frames import Kind, frame
from agl_core.export._query import Answer, query
from agl_core.log import Archive, SqliteLog

__all__ = ["Log", "LogArchive"]


class Log(SqliteLog):
    """What `agl.open_log` gives."""

    def frame(self, what: str, *, kind: Kind | None = None) -> Any:
        """A view such as `calls`, or the answer to a `select`: pandas, polars or Arrow, as installed or as asked."""
        return frame(self, what, kind=kind)

    def query(
        self, sql: str, *, timeout: float | None = None, limit: int | None = None
    ) -> AbstractContextManager[Answer]:
        """The answer to one `select` of the views, row by row."""
        return query(self, sql, timeout=timeout, limit=limit)


class LogArchive(Archive, Log):
    """The same of an export."""
