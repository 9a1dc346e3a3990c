"""A store without a way to enqueue: what a run is handed that is to ask for no rollout."""

from __future__ import annotations

from typing import Any, NoReturn, cast

from agl_core.errors import RolloutsForbidden
from agl_core.store import Store

__all__ = ["without_rollouts"]

_ENQUEUE = ("enqueue", "enqueue_many_rollouts", "enqueue_rollout", "start_rollout")


def without_rollouts(store: Store) -> Store:
    """The same store; who enqueues there gets `RolloutsForbidden`, and nothing is enqueued."""
    return cast("Store", _Closed(store))


class _Closed:
    """All that the store is, but for what enqueues."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return _forbidden if name in _ENQUEUE else getattr(self._store, name)


async def _forbidden(*_given: Any, **_named: Any) -> NoReturn:
    raise RolloutsForbidden("rollouts of the store")
