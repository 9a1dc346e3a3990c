"""Batches of tasks, drawn without end: every task comes once before any comes again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

__all__ = ["batches"]

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int, dice: Random) -> Iterator[list[Item]]:
    """`size` items at a time (or all, when there are fewer), none twice in a batch; shuffled anew when all came."""
    size, left = min(size, len(items)), list[int]()
    while True:
        batch, left = left[:size], left[size:]
        if len(batch) < size:
            fresh = dice.sample(range(len(items)), len(items))
            new = [index for index in fresh if index not in batch][: size - len(batch)]
            batch, left = batch + new, [index for index in fresh if index not in new]
        yield [items[index] for index in batch]
