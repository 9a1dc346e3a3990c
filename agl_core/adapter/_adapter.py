"""Adapters: a trace in, training rows out, and a reason for everything that did not become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from agl_core.projections import Trace

__all__ = ["Adapted", "Adapter", "Dropped", "Unmatched", "is_by_task"]

Row_co = TypeVar("Row_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A policy call that became no row."""

    call_id: str
    rollout_id: str
    reason: str
    """`no_reward`, `no_token_ids`, `no_logprobs`, `call_failed`, `masked:<exit status>`, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A reward that counts, and reached no call."""

    reward_id: str | None
    """Id of the event that gave it; null of a zero that nobody gave."""
    rollout_id: str
    reason: str
    """`unknown_target` (the trace has no such call, span or agent), ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted(Generic[Row_co]):
    """Rows, and what was dropped: together, every policy call that was captured."""

    rows: Sequence[Row_co]
    dropped: Sequence[Dropped] = ()
    kept: int
    """Policy calls that ended in a row."""
    unmatched: Sequence[Unmatched] = ()
    """Rewards that an adapter looked for a call for, and found none."""

    @property
    def captured(self) -> int:
        """Policy calls that went in."""
        return self.kept + len(self.dropped)


class Adapter(Protocol[Row_co]):
    """Pure: the same traces give the same rows, and no I/O happens.

    One of which the rows of a task depend on the rollouts of that task alone may say so, by an attribute `by_task` that
    is true: it may then be handed a few tasks of a batch at a time.
    """

    @property
    def name(self) -> str:
        """By which it is registered."""
        ...

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Row_co]:
        """Rows of all `traces` of a batch; `captured` equals the number of their `policy` calls."""
        ...


def is_by_task(adapter: Adapter[Any]) -> bool:
    """Whether it says that the rows of a task depend on the rollouts of that task alone."""
    return bool(getattr(adapter, "by_task", False))
