"""Rows that are too long: they leave whole, and so do all of the calls in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from agl_triplets._segment import Segment

__all__ = ["fitting"]


def fitting(segments: Sequence[Segment], max_length: int) -> tuple[list[Segment], set[str]]:
    """The segments that stay, and the calls that leave.

    A call is kept whole or not at all: where one of its answers is in a row that is too long, the rows of its other
    answers leave with it.
    """
    having: defaultdict[str, list[int]] = defaultdict(list)
    for index, segment in enumerate(segments):
        for recorded, _ in segment.turns:
            having[recorded.call_id].append(index)
    leaving = {index for index, segment in enumerate(segments) if len(segment.tokens) > max_length}
    lost: set[str] = set()
    ahead = list(leaving)
    while ahead:
        for recorded, _ in segments[ahead.pop()].turns:
            if recorded.call_id not in lost:
                lost.add(recorded.call_id)
                ahead += [index for index in having[recorded.call_id] if index not in leaving]
                leaving.update(having[recorded.call_id])
    return [segment for index, segment in enumerate(segments) if index not in leaving], lost
