"""A log or a store by its address, with everything the installed plugins bring."""

from __future__ import annotations

from typing import cast

from agl_core.export import Log
from agl_core.plugins import Plugins
from agl_core.resources import ResourcesUpdate
from agl_core.store import Queries, Store

__all__ = ["best_resources", "open_log", "open_store"]


def open_log(url: str, *, readonly: bool = False) -> Log:
    """The log at `url`: a path, `sqlite:///path`, or `:memory:`; made when it is not there, unless `readonly`.

    `sqlite:///path?durability=full` syncs each commit to the disk, for power loss; otherwise what was acknowledged
    survives `kill -9`. With `readonly`, also an export: `.parquet`, `.duckdb` or `.jsonl`.
    """
    return cast("Log", Plugins.load().open_log(url, readonly=readonly))


def open_store(url: str) -> Store:
    """A store over the log at `url`."""
    return Store(open_log(url))


def best_resources(url: str, *, run_id: str | None = None, at: int | None = None) -> ResourcesUpdate:
    """What was promoted last, of a run or of all, in the log at `url`, an export of it, or one that others write to.

    For programs that use what was found: `best_resources("log.db").resources["prompt"].format(...)`. Asked again, it
    sees what was promoted, or gone back on, since; with `at`, what counted when that was the log's last position.
    Raises `NothingPromoted` when nothing was.
    """
    with open_log(url, readonly=True) as log:
        return Queries(log if at is None else log.at(at)).promoted(run_id=run_id)
