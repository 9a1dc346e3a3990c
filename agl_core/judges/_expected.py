"""What a task says that a good answer is."""

from __future__ import annotations

from typing import Any

from agl_core.errors import ExpectedMissing
from agl_core.judges._paths import ABSENT, within
from agl_core.projections import Trace

__all__ = ["expected_of", "shown"]

_SHOWN = 500
"""Characters of a text that evidence keeps: the text itself is in the log."""


def expected_of(trace: Trace, path: str) -> Any:
    """What lies at `a.b` in the task; the task itself, where the path is empty."""
    found = within(trace.input, path)
    if found is ABSENT or found is None:
        fields = ", ".join(trace.input) if isinstance(trace.input, dict) else "none, it is no object"
        raise ExpectedMissing(path, why=f"the task has no such field; those it has: {fields}")
    return found


def shown(text: str) -> str:
    """A text as evidence has it, cut where it is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
