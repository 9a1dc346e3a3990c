"""Tasks that stand in a data set more than once, or in two splits; equal JSON is the same task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from agl_core.errors import SplitsOverlap
from agl_core.ids import canonical

__all__ = ["overlaps", "repeats"]

_SHOWN = 80


def overlaps(splits: Mapping[str, Sequence[Any]]) -> Iterator[SplitsOverlap]:
    """What each two of the splits share."""
    keyed = {name: [canonical(task) for task in tasks] for name, tasks in splits.items()}
    known = {name: frozenset(keys) for name, keys in keyed.items()}
    for first, second in combinations(keyed, 2):
        if shared := [key for key in keyed[second] if key in known[first]]:
            yield SplitsOverlap(len(shared), splits=f"{first} and {second}", example=shared[0].decode()[:_SHOWN])


def repeats(tasks: Sequence[Any]) -> dict[str, int]:
    """The tasks that come more than once, as canonical JSON, and how often."""
    return {key.decode(): count for key, count in Counter(map(canonical, tasks)).items() if count > 1}
