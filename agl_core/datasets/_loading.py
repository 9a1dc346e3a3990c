"""Any source of tasks, as tasks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from agl_core.datasets import _hub
from agl_core.datasets._files import file_tasks
from agl_core.datasets._plain import plain
from agl_core.datasets._rows import rows
from agl_core.errors import BadValue

__all__ = ["Source", "load_dataset", "tasks_for"]

Source = Any
"""A sequence or an iterable of tasks; a frame of pandas, polars or Arrow, a task a row; a data set of Hugging Face or
PyTorch; a path, a pattern of paths, or `hf://OWNER/NAME`; a mapping from the names of splits to any of these."""
_ALSO: Mapping[str, tuple[str, ...]] = {"val": ("validation", "valid", "dev")}
"""What others call a split of ours."""


def load_dataset(source: Source, *, split: str | None = None) -> tuple[Any, ...]:
    """The tasks of `source`, in its order, each plain JSON; `split` says which, where it has several.

    A path may be a pattern (`data/*.jsonl`); JSON, JSON Lines, CSV and Parquet are read. Raises `BadValue` for what
    cannot be kept as it is, with the row and the column it stands in, and before anything else is done with it.
    """
    return _loaded(source, split, name="data set", has_to_split=split is not None)


def tasks_for(mode: Literal["train", "val", "test"], source: Source | None) -> tuple[Any, ...]:
    """The tasks of that mode: of a source with splits, the one of that name, else all. None has none."""
    if source is None:
        return ()
    return _loaded(source, mode, name=f"{mode}_dataset", has_to_split=False)


def _loaded(source: Source, split: str | None, *, name: str, has_to_split: bool) -> tuple[Any, ...]:
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if not isinstance(path, str):
            raise BadValue(name, path, why="a path is text")
        if not _hub.is_address(path):
            _refuse_split(path, split, has_to_split=has_to_split)
            return file_tasks(path)
        name = path
        source, split = _hub.opened(path), None if _hub.names_split(path) else split
    if isinstance(source, Mapping):
        chosen = _split(source, split, name=name)
        return _loaded(chosen, None, name=name, has_to_split=False)
    _refuse_split(name, split, has_to_split=has_to_split)
    return _plain(rows(source, name=name), name=name)


def _plain(found: Iterable[Any], *, name: str) -> tuple[Any, ...]:
    return tuple(plain(task, where=f"{name}, row {number}") for number, task in enumerate(found))


def _split(splits: Mapping[Any, Source], wanted: str | None, *, name: str) -> Source:
    has = ", ".join(map(str, splits)) or "none"
    if wanted is None:
        if len(splits) == 1:
            return next(iter(splits.values()))
        raise BadValue(name, list(splits), why=f'it has splits: say which with split="{next(iter(splits), "train")}"')
    called = next((one for one in (wanted, *_ALSO.get(wanted, ())) if one in splits), None)
    if called is None:
        raise BadValue("split", wanted, why=f"{name} has no such split; it has {has}. Pass the one you mean by itself")
    return splits[called]


def _refuse_split(name: str, split: str | None, *, has_to_split: bool) -> None:
    if has_to_split:
        raise BadValue("split", split, why=f"{name} has no splits: leave it out, or make some with agl.split_dataset")
