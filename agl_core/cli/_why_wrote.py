"""Steps of a run by what they answered: which of them wrote a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agl_core.cli import _why_found as found
from agl_core.cli._resources_told import REJECTED
from agl_core.events import ResourcesPublished, StepRecorded

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.record import Record

__all__ = ["ROUTINE", "answer_of", "derived_from", "made_by", "scope_of", "wrote"]

ROUTINE = {"spending", "goes_on", "now"}
"""Kinds of steps that only look."""


def scope_of(record: Record) -> tuple[str, str]:
    """Of a movement: its scope, with the run, and its kind; `run-1/main.round-1/ask/critique/0`."""
    parts = (record.key or "").split("/")
    return ("/".join(parts[:2]), parts[2]) if len(parts) > 3 else ("", "")


def derived_from(record: Record) -> tuple[str, int] | None:
    """The version that it came from."""
    if isinstance(record.event, ResourcesPublished) and record.event.parent:
        name, _, number = record.event.parent.rpartition("@")
        return (name, int(number)) if number.isdecimal() else None
    return None


def answer_of(step: Record) -> dict[str, Any]:
    """Its result, where that has names."""
    result = getattr(step.event, "result", None)
    return result if isinstance(result, dict) else {}


def wrote(log: SqliteLog, record: Record, event: ResourcesPublished) -> Record | None:
    """The step whose answer has the text that is new in it: the first one since what it came from, and of those that
    said the same, the first that was not turned down."""  # noqa: D205, D209 - one sentence
    parent = found.version(log, derived_from(record))
    before: dict[str, Any] = {}
    if parent is not None and isinstance(parent.event, ResourcesPublished):
        before = {name: one.get("template") for name, one in parent.event.resources.items()}
    new = [one.get("template") for name, one in event.resources.items() if one.get("template") != before.get(name)]
    texts = [text.strip() for text in new if isinstance(text, str) and text.strip()]
    if not texts or event.run_id is None:
        return None
    start = parent.position if parent else 0
    steps = log.read(after=start, until=record.position, stream=f"run/{event.run_id}", types=[StepRecorded.type])
    said = [step for step in steps if scope_of(step)[1] not in ROUTINE and _says(step, texts)]
    return next((step for step in said if not _turned_down(log, step, texts)), said[0] if said else None)


def made_by(log: SqliteLog, record: Record, digest: str) -> Record | None:
    """The step that made those weights: since the last ones began to speak, or else at any time before."""
    last = found.before(log, record, "policy.updated")
    for after in (last.position, 0) if last else (0,):
        steps = log.read(stream=record.stream, types=[StepRecorded.type], after=after, until=record.position)
        for step in steps:
            if answer_of(step).get("checkpoint") == digest:
                return step
    return None


def _turned_down(log: SqliteLog, step: Record, texts: list[str]) -> bool:
    """Whether what it said is among what was rejected where it was said."""
    first = f"{scope_of(step)[0]}/step/{REJECTED}/"
    rows = log.rows("select position from events where key between ? and ?", (first, f"{first}~"))
    return any(_says(one, texts) for one in log.records([position for (position,) in rows]).values())


def _says(step: Record, texts: list[str]) -> bool:
    return any(text in said for said in _texts(step) for text in texts)


def _texts(step: Record) -> Iterator[str]:
    """What a step answered, word by word."""
    ahead: list[Any] = [getattr(step.event, "result", None)]
    while ahead:
        one = ahead.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            ahead += one.values()
        elif isinstance(one, list | tuple):
            ahead += one
