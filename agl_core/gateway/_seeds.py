"""Sampling seeds that a run can repeat: one for each call of an attempt, in the order the calls arrive."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from agl_core.store import Admission

__all__ = ["Ordinals", "seed"]

_REMEMBERED = 16_384
"""Attempts whose calls are counted; far more than ever run at once."""


def seed(admission: Admission, ordinal: int) -> int | None:
    """63 bits of run seed, task, repeat and the call's ordinal; none when the run has no seed."""
    if admission.seed is None:
        return None
    text = f"{admission.seed}\0{admission.task_id}\0{admission.repeat}\0{ordinal}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


class Ordinals:
    """Counts the calls of each attempt, from 0."""

    def __init__(self) -> None:
        self._next: OrderedDict[str, int] = OrderedDict()

    def take(self, attempt_id: str) -> int:
        """The ordinal of the call that has just arrived."""
        ordinal = self._next.pop(attempt_id, 0)
        self._next[attempt_id] = ordinal + 1
        if len(self._next) > _REMEMBERED:
            self._next.popitem(last=False)
        return ordinal
