"""A log or a store by its address, with everything the installed plugins bring."""

from __future__ import annotations

from typing import cast

from agl_core.export import Log
from agl_core.plugins import Plugins
from agl_core.store import Store

__all__ = ["open_log", "open_store"]


def open_log(url: str, *, readonly: bool = False) -> Log:
    """The log at `url`: a path, `sqlite:///path`, or `:memory:`; made when it is not there, unless `readonly`.

    `sqlite:///path?durability=full` syncs each commit to the disk, for power loss; otherwise what was acknowledged
    survives `kill -9`. With `readonly`, also an export: `.parquet`, `.duckdb` or `.jsonl`.
    """
    return cast("Log", Plugins.load().open_log(url, readonly=readonly))


def open_store(url: str) -> Store:
    """A store over the log at `url`."""
    return Store(open_log(url))
