"""Views of a log as frames: pandas, polars or Arrow, whichever is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from agl_core.errors import BadValue, MissingExtra
from agl_core.export._query import asked
from agl_core.export._views import VIEWS
from agl_core.log import SqliteLog

__all__ = ["Kind", "frame"]

Kind = Literal["pandas", "polars", "arrow"]

_MODULES: Mapping[str, str] = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
"""In the order of preference."""


def frame(log: SqliteLog | Path | str, what: str, *, kind: Kind | None = None) -> Any:
    """A view such as `calls`, or the answer to a `select`, as a frame; without `kind`, of the first that is installed.

    Raises `MissingExtra` when there is none, and `BadQuery`.
    """
    sql = f"select * from {what}" if what in VIEWS else what  # noqa: S608 - a name of ours, or the caller's own text
    chosen = _installed(kind)
    with asked(log, sql) as (db, _):
        relation = db.sql(sql)
        match chosen:
            case "pandas":
                return relation.df()
            case "polars":
                import polars as pl

                return pl.DataFrame(relation)
            case _:
                import pyarrow as pa

                return pa.table(relation)


def _installed(kind: str | None) -> str:
    if kind is not None and kind not in _MODULES:
        raise BadValue("kind", kind, why=f"a frame is one of {', '.join(_MODULES)}")
    wanted = [kind] if kind else list(_MODULES)
    found = next((name for name in wanted if find_spec(_MODULES[name]) is not None), None)
    if found is None:
        name = _MODULES[kind] if kind else "none of pandas, polars and pyarrow"
        raise MissingExtra(name, install=f"pip install {_MODULES.get(kind or '', 'polars')}")
    return found
