"""Tasks on the command line: files, patterns of files, and data sets of a hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import click

from agl_core.errors import AglError, BadValue, NoTrainingData

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TASKS", "read_splits", "read_tasks"]

Mode = Literal["train", "val", "test"]


def _named(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """What names no file is refused before the agent is imported."""
    from agl_core.datasets import found, is_address

    try:
        if value is not None and not is_address(value):
            found(value)
    except AglError as error:
        raise click.BadParameter(str(error)) from None
    return value


TASKS: Mapping[str, Any] = MappingProxyType({"metavar": "FILE", "callback": _named})
"""An option that says where tasks are: `data.jsonl`, `data/*.parquet`, `hf://OWNER/NAME`."""


def read_tasks(source: str | Path, mode: Mode = "train") -> tuple[Any, ...]:
    """The tasks that are there, each any JSON; of a source with splits, those of `mode`."""
    from agl_core.datasets import tasks_for

    tasks = tasks_for(mode, source)
    if not tasks:
        raise NoTrainingData(f"{source} has no task in it")
    return tasks


def read_splits(
    train: str | None, val: str | None, test: str | None, *, shares: str | None
) -> Sequence[tuple[Any, ...] | None]:
    """The three splits: each from where it is, or `train` dealt out by `shares`, and the counts said."""
    if shares is None:
        sources: tuple[tuple[Mode, str | None], ...] = (("train", train), ("val", val), ("test", test))
        return [read_tasks(source, mode) if source else None for mode, source in sources]
    if val or test or not train:
        raise click.UsageError("--split makes all three of --train: leave --val and --test out")
    from agl_core.datasets import split_dataset

    try:
        parts = [float(share) for share in shares.split(",")]
    except ValueError:
        parts = []
    if len(parts) != 3:
        raise BadValue("--split", shares, why="write it as TRAIN,VAL,TEST, such as 0.8,0.1,0.1")
    found = split_dataset(read_tasks(train), train=parts[0], val=parts[1], test=parts[2])
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    click.echo(f"{train} is split: {counts}", err=True)
    return found
