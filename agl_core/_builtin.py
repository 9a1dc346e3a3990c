"""The plugin that the core itself is: what it brings comes in through the same door as everybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agl_core.errors import LogUnsupported
from agl_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from agl_core.codec import Codec
    from agl_core.executors import InProcess
    from agl_core.log import SqliteLog
    from agl_core.record import Draft

_NAMES = {"inprocess", "shm"}


@hookimpl
def agl_open_log(url: str, readonly: bool, codec: Codec, redact: Callable[[Draft], Draft]) -> SqliteLog | None:  # noqa: FBT001
    """`sqlite:///path`, a plain path, or `:memory:`."""
    from agl_core.log import SqliteLog
    from agl_core.projections import CORE

    scheme, found, rest = url.partition("://")
    if url.startswith("duckdb:"):
        why = "DuckDB lets one process at the file, and commits a few hundred times a second"
        raise LogUnsupported(url, why=why, cure="Use an SQLite path; `agl log query` asks it questions through DuckDB")
    if found and scheme != "sqlite":
        return None
    # As everywhere in Python: sqlite:///relative.db and sqlite:////absolute.db.
    path = rest.removeprefix("/") if found else url
    return SqliteLog(path, projections=CORE, codec=codec, redact=redact, readonly=readonly)


@hookimpl
def agl_open_executor(name: str, config: Mapping[str, Any]) -> InProcess | None:
    """`inprocess` (also by Agent Lightning's name for it, `shm`)."""
    from agl_core.executors import InProcess

    return InProcess(**config) if name in _NAMES else None


@hookimpl
def agl_register_algorithms() -> Mapping[str, Any]:
    """`baseline`: no learning."""
    from agl_core.algorithm import Baseline

    return {"baseline": Baseline}
