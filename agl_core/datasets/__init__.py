"""Tasks from what people have them in, each plain JSON; and splits of them that share none."""

from __future__ import annotations

from agl_core.datasets._files import found
from agl_core.datasets._hub import is_address
from agl_core.datasets._loading import Source, load_dataset, tasks_for
from agl_core.datasets._overlapping import overlaps, repeats
from agl_core.datasets._splitting import Splits, is_share, split_dataset

__all__ = [
    "Source",
    "Splits",
    "found",
    "is_address",
    "is_share",
    "load_dataset",
    "overlaps",
    "repeats",
    "split_dataset",
    "tasks_for",
]
