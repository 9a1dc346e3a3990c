"""What is in memory, row by row; nothing is imported to know a frame by."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from agl_core.datasets._plain import is_of, is_record
from agl_core.errors import BadValue

__all__ = ["LIMIT", "named_columns", "rows"]

LIMIT = 1_000_000
"""Tasks that are taken from what does not say how many it has: it may have no end."""


def rows(source: Any, *, name: str) -> Iterable[Any]:
    """Its rows: a dict for each of a frame, and what an iterable gives of itself."""
    if is_of(source, "polars", "LazyFrame"):
        source = source.collect()
    if is_of(source, "pyarrow", "RecordBatchReader"):
        source = source.read_all()
    if is_of(source, "pyarrow", "Dataset"):
        source = source.to_table()
    if is_of(source, "pandas", "DataFrame"):
        names = named_columns(list(source.columns), name=name)
        columns = [_pandas(source.iloc[:, at]) for at in range(len(names))]
        return _dicts(names, zip(*columns, strict=True) if columns else ())
    if is_of(source, "pandas", "Series"):
        return _pandas(source)
    if is_of(source, "polars", "DataFrame"):
        return _dicts(source.columns, source.iter_rows())
    if is_of(source, "pyarrow", "Table", "RecordBatch"):
        named_columns(source.schema.names, name=name)
        return _listed(source)
    if is_of(source, "pyarrow", "Array", "ChunkedArray"):
        return _listed(source)
    return _given(source, name=name)


def named_columns(names: Sequence[Any], *, name: str) -> Sequence[str]:
    """The names of a frame's columns, each of them text, and there once."""
    for one, count in Counter(names).items():
        if not isinstance(one, str) or not one:
            raise BadValue(f"{name}, column", one, why="a task's fields have names: give the column one, as text")
        if count > 1:
            raise BadValue(f"{name}, column", one, why=f"{count} columns are called so: rename all but one")
    return names


def _dicts(names: Sequence[str], found: Iterable[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    return (dict(zip(names, row, strict=True)) for row in found)


def _pandas(column: Any) -> list[Any]:
    values: list[Any] = column.tolist()
    if getattr(column.dtype, "kind", "") == "f":
        return values
    # Where no number can stand, a NaN is how pandas writes that nothing does.
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]


def _listed(column: Any) -> list[Any]:
    found: list[Any] = column.to_pylist()
    return found


def _given(source: Any, *, name: str) -> Iterable[Any]:
    shown = f"{type(source).__module__}.{type(source).__qualname__}"
    if isinstance(source, type) or is_record(source) or isinstance(source, bytes | bytearray):
        raise BadValue(name, shown, why="it is one thing, and no list of tasks: write [task]")
    sized, indexed = hasattr(source, "__len__"), hasattr(source, "__getitem__")
    if not hasattr(source, "__iter__"):
        if sized and indexed:  # the data sets of PyTorch, and of Agent Lightning: some do not end by themselves
            return (source[at] for at in range(len(source)))
        raise BadValue(name, shown, why="tasks come as a list, an iterable, a frame, or a path to a file of them")
    return iter(source) if sized else _bounded(source, name=name)


def _bounded(source: Iterable[Any], *, name: str) -> Iterator[Any]:
    found = iter(source)
    yield from islice(found, LIMIT)
    if next(found, found) is not found:
        why = f"it has more than {LIMIT} tasks, and may have no end: cut it with itertools.islice, or pass a list"
        raise BadValue(name, type(source).__name__, why=why)
