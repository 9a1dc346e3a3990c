"""A log as people open it: it can be asked for frames and answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from agl_core.export._frames import Kind, frame
from agl_core.export._query import Answer, query
from agl_core.log import Archive, Past, Pasts, SqliteLog

__all__ = ["Log", "LogArchive", "LogPast"]


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

    def at(self, position: int, *, streams: Sequence[str] = ()) -> LogPast:
        """The log as it was when that was its last position: asked like this one, and closed with it."""
        return cast("LogPast", super().at(position, streams=streams))

    def _remembering(self) -> Pasts:
        return Pasts(self, LogPast)


class LogPast(Past, Log):
    """The same, as it was."""

    def at(self, position: int, *, streams: Sequence[str] = ()) -> LogPast:
        """The log as it was before that."""
        return cast("LogPast", Past.at(self, position, streams=streams))


class LogArchive(Archive, Log):
    """The same of an export."""
