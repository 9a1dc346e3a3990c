"""A log or a store by its address, with everything the installed plugins bring."""

from __future__ import annotations

from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.store import Store

__all__ = ["open_log", "open_store"]


def open_log(url: str, *, readonly: bool = False) -> SqliteLog:
    """The log at `url`: a path, `sqlite:///path`, or `:memory:`; made when it is not there, unless `readonly`."""
    return Plugins.load().open_log(url, readonly=readonly)


def open_store(url: str) -> Store:
    """A store over the log at `url`."""
    return Store(open_log(url))
