"""The SDK's own way to its vendor: what attempts do does not take it, unless the user says so."""

from __future__ import annotations

import os
from typing import Any

from agl_core.errors import OutsideAttempt
from agl_core.recorder import current

__all__ = ["Uploading"]

_KEEPS = "AGL_OPENAI_AGENTS_UPLOAD"
_METHODS = ("on_trace_start", "on_span_end")
"""By which the SDK's default processor takes something up, in the context of whoever did it."""


class Uploading:
    """The one processor that the SDK puts in by itself, deaf to attempts; those that a host puts in hear everything."""

    def __init__(self, processors: Any) -> None:
        """Not deaf yet; `processors` is the SDK's module. Raises where it has no such processor."""
        self._processor = processors.default_processor()
        self._is_kept = os.environ.get(_KEEPS, "") not in {"", "0"}
        missing = [name for name in _METHODS if not callable(getattr(self._processor, name, None))]
        if missing:
            raise TypeError(f"its own uploader is not what it was: {', '.join(missing)}")

    def stop(self) -> None:
        """Upload no attempts."""
        if not self._is_kept:
            for name in _METHODS:
                setattr(self._processor, name, _outside(getattr(self._processor, name)))

    def resume(self) -> None:
        """Upload as ever: its methods are its class's again."""
        for name in _METHODS:
            vars(self._processor).pop(name, None)


def _outside(take: Any) -> Any:
    def taken(item: Any) -> None:
        try:
            current()
        except OutsideAttempt:
            take(item)

    return taken
