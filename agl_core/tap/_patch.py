"""One attribute of a class, replaced and put back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

__all__ = ["Patch"]

_log = logging.getLogger(__name__)


class Patch:
    """Puts what `wrap` makes of an attribute in its place; `undo` leaves the class as it was found."""

    def __init__(self, owner: type, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._owner, self._name, self._wrap = owner, name, wrap
        self._original: Any = None
        self._replacement: Any = None

    def is_of(self, other: Patch) -> bool:
        """Whether both are about the same attribute."""
        return self._owner is other._owner and self._name == other._name

    def apply(self) -> None:
        """Replace it."""
        self._original = vars(self._owner)[self._name]
        self._replacement = self._wrap(self._original)
        setattr(self._owner, self._name, self._replacement)

    def undo(self) -> None:
        """Put the very object back, unless somebody else has put theirs over ours."""
        if vars(self._owner).get(self._name) is self._replacement:
            setattr(self._owner, self._name, self._original)
        else:
            # Theirs calls ours; taking ours out would take theirs out too.
            _log.warning("%s.%s was patched again since, and is left alone", self._owner.__qualname__, self._name)
