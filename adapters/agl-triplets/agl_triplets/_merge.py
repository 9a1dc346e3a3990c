"""Calls into segments: a call joins the segment whose tokens its prompt starts with, exactly; else it begins one."""

from __future__ import annotations

from collections.abc import Iterable

from agl_core.events import CallRecorded
from agl_triplets._beginnings import Beginnings
from agl_triplets._prefixes import Path, Prefixes
from agl_triplets._segment import Beginning, Segment, temperature

__all__ = ["merge", "separate"]


def merge(calls: Iterable[CallRecorded]) -> list[Segment]:
    """Segments in the order they began; every sampled token of `calls` is in exactly one of them.

    Calls come in the order they were recorded: one that continues another was asked after that one was answered.
    All segments stay open, so that sub-agents that take turns each continue their own; the longest match is taken,
    the oldest of equals. Of several choices the first continues, and the others begin segments of their own.
    """
    segments: list[Segment] = []
    known: Prefixes[Segment] = Prefixes()
    beginnings = Beginnings()
    for recorded in calls:
        path = known.follow(recorded.call.prompt_token_ids)
        segment = _continued(path, temperature(recorded))
        beginning = Beginning("choice") if segment else beginnings.why(recorded, path)
        for choice in recorded.call.choices:
            if not choice.token_ids:
                continue
            if segment is None:
                segment = _begin(recorded, beginning)
                segments.append(segment)
            known.add(segment.take(recorded, choice), segment)
            beginnings.remember(segment)
            segment, beginning = None, Beginning("choice")
    return segments


def separate(calls: Iterable[CallRecorded]) -> list[Segment]:
    """A segment for each choice."""
    segments = []
    for recorded in calls:
        for choice in recorded.call.choices:
            if choice.token_ids:
                segments.append(_begin(recorded, Beginning("call")))
                segments[-1].take(recorded, choice)
    return segments


def _begin(recorded: CallRecorded, beginning: Beginning) -> Segment:
    return Segment(beginning, len(recorded.call.prompt_token_ids), temperature(recorded))


def _continued(path: Path[Segment], warmth: float) -> Segment | None:
    for node in reversed(path.nodes):
        for index, segment in enumerate(node.ending):
            # A row has one temperature: its logits are scaled by it.
            if segment.temperature == warmth:
                return node.ending.pop(index)
    return None
