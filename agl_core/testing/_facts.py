"""The facts that the contract of a log writes."""

from __future__ import annotations

from agl_core.events import NoteTaken, RolloutEnqueued
from agl_core.record import Draft, Record

__all__ = ["enqueued", "note", "text"]


def note(text: str, *, stream: str = "log", key: str | None = None) -> Draft:
    """The smallest fact there is."""
    return Draft(stream=stream, event=NoteTaken(text=text), key=key)


def enqueued(rollout_id: str) -> Draft:
    """A task that waits in the queue."""
    event = RolloutEnqueued(rollout_id=rollout_id, input={"q": rollout_id}, task_id="ta-1")
    return Draft(stream=f"rollout/{rollout_id}", event=event)


def text(record: Record) -> str:
    """What a note says."""
    assert isinstance(record.event, NoteTaken)
    return record.event.text
