"""Which version of which bundle an argument means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agl_core.cli._logs import find
from agl_core.errors import UnknownId

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.resources import ResourcesUpdate

__all__ = ["SPELT", "best", "is_run", "meant", "named"]

SPELT = "RUN|ID[@V]"
_DIGITS = 18
"""More make no version: SQLite counts no further."""


def named(bundle: ResourcesUpdate) -> str:
    """`id@version`, as it is typed."""
    return f"{bundle.resources_id}@{bundle.version}"


def meant(log: SqliteLog, given: str) -> ResourcesUpdate:
    """`ID@V`; or `ID`, its promoted version, else its newest; or `RUN`, what it promoted. The start of an id will do.

    Raises `UnknownId`, and `NothingPromoted` for a run that promoted nothing.
    """
    from agl_core.store import Queries

    ask = Queries(log)
    id_, at, number = given.rpartition("@")
    if at and number.isdecimal() and len(number) <= _DIGITS:
        return ask.resources(find(log, "resource", id_), int(number))
    if is_run(log, given):
        return best(log, given)
    id_ = find(log, "resource", given)
    promoted = ask.promotions(resources_id=id_)
    return ask.resources(id_, promoted[-1].version if promoted else None)


def best(log: SqliteLog, run: str | None) -> ResourcesUpdate:
    """What the run promoted; what was promoted last of all, when none is named."""
    from agl_core.store import Queries

    return Queries(log).promoted(run_id=find(log, "run", run) if run else None)


def is_run(log: SqliteLog, given: str) -> bool:
    """Whether a run is meant, and no bundle."""
    if given.lower().startswith("run"):
        return True
    try:
        find(log, "resource", given)
    except UnknownId:
        return not given.lower().startswith("rs")
    return False
