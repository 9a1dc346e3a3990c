"""Tasks into training, validation and test, each by what it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, SupportsFloat

from agl_core.datasets._loading import Source, load_dataset
from agl_core.errors import BadValue
from agl_core.ids import canonical

__all__ = ["Splits", "is_share", "split_dataset"]


class Splits(NamedTuple):
    """Three splits that share no task, each in the order of its source."""

    train: tuple[Any, ...]
    val: tuple[Any, ...]
    test: tuple[Any, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks each has: near the share that was asked for, and nearer the more there are."""
        return {name: len(tasks) for name, tasks in zip(self._fields, self, strict=True)}


def split_dataset(source: Source, *, train: float = 0.8, val: float = 0.1, test: float = 0.1, seed: int = 0) -> Splits:
    """The tasks of `source` in three, by a hash of each: equal tasks fall together, and a new one moves no other.

    Another `seed` deals them out anew. Raises `BadValue` where a split that has a share would have no task.
    """
    shares = {"train": train, "val": val, "test": test}
    if not all(map(is_share, shares.values())) or not math.isclose(sum(shares.values()), 1):
        raise BadValue("shares", shares, why="each is 0 to 1, and together they are 1: write 0 for one you do not want")
    wanted = {name: share for name, share in shares.items() if share}
    dealt: dict[str, list[Any]] = {name: [] for name in shares}
    for task in load_dataset(source):
        dealt[_place(task, wanted, seed)].append(task)
    for name in wanted:
        if not dealt[name]:
            counts = {each: len(tasks) for each, tasks in dealt.items()}
            why = f"{name} would have no task: give it a larger share, take another seed, or name the splits yourself"
            raise BadValue("split", counts, why=why)
    return Splits(*map(tuple, dealt.values()))


def is_share(value: object) -> bool:
    """Whether it is a number, from 0 to 1."""
    return isinstance(value, SupportsFloat) and 0 <= float(value) <= 1


def _place(task: Any, shares: Mapping[str, float], seed: int) -> str:
    drawn = hashlib.blake2b(canonical(task), digest_size=8, key=str(seed).encode()).digest()
    at, edge = int.from_bytes(drawn) / 2**64, 0.0
    for name, share in shares.items():
        edge += share
        if at < edge:
            return name
    return name  # the last: sums of shares may miss 1 by a rounding
