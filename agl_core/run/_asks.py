"""Who puts an algorithm's questions to models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agl_core.asking import Said

__all__ = ["Asks"]


class Asks(Protocol):
    """Asks models in a run's name."""

    async def ask(
        self, run_id: str, model: str, messages: Sequence[Mapping[str, Any]], *, sampling: Mapping[str, Any], key: str
    ) -> Said:
        """What the model answers; asked again by the same key, what it answered then."""
        ...
