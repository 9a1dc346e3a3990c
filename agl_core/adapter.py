"""Adapters: a trace in, training rows out, and a reason for everything that did not become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from agl_core.projections import Trace, TraceReward

__all__ = ["Adapted", "Adapter", "Dropped", "Trace", "TraceReward", "drift"]

Row_co = TypeVar("Row_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A policy call that became no row."""

    call_id: str
    rollout_id: str
    reason: str
    """`no_reward`, `no_token_ids`, `no_logprobs`, `call_failed`, `masked:<exit status>`, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted(Generic[Row_co]):
    """Rows, and what was dropped: together, every policy call that was captured."""

    rows: Sequence[Row_co]
    dropped: Sequence[Dropped] = ()
    kept: int
    """Policy calls that ended in a row."""

    @property
    def captured(self) -> int:
        """Policy calls that went in."""
        return self.kept + len(self.dropped)


class Adapter(Protocol[Row_co]):
    """Pure: the same traces give the same rows, and no I/O happens."""

    name: str

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Row_co]:
        """Rows of all `traces` of a batch; `captured` equals the number of their `policy` calls."""
        ...


def drift(
    answers: Iterable[Sequence[int]],
    *,
    decode: Callable[[Sequence[int]], str],
    encode: Callable[[str], Sequence[int]],
) -> float:
    """Share of `answers`, token ids as they were sampled, that come back as other ids when their text is encoded.

    Nothing here trains on ids that were made again from text. Whoever does (from a log of words alone, or behind an
    endpoint that keeps its ids) trains in this share of answers on tokens that the policy never sampled.
    """
    drifted = [list(encode(decode(ids))) != list(ids) for ids in answers]
    return sum(drifted) / len(drifted) if drifted else 0.0
