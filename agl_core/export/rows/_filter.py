"""Rollouts that are good enough, for rows of adapters that take every one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agl_core.adapter import Adapted, Adapter, Dropped, Trace
from agl_core.errors import BadValue

__all__ = ["Filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rollouts reach an adapter. The calls of the others are dropped: `masked:<status>`, `not_succeeded`,
    `no_reward`, `below_threshold`, `not_best`."""  # noqa: D205, D209 - one sentence

    succeeded: bool = False
    """Keep rollouts that came to a good end only."""
    at_least: float | None = None
    """Keep rollouts that earned this much."""
    best_of: int | None = None
    """Keep this many rollouts of each task: those that earned most, the earlier ones on a tie."""

    def __post_init__(self) -> None:
        if self.best_of is not None and self.best_of < 1:
            raise BadValue("best_of", self.best_of, why="the best of a task are one or more")

    def before(self, adapter: Adapter[Any]) -> Adapter[Any]:
        """An adapter that is handed those rollouts alone."""
        return _Filtered(self, adapter) if self != Filter() else adapter

    def reasons(self, traces: Sequence[Trace], *, reward: str = "primary") -> list[str | None]:
        """Why each is left out; None of one that is kept."""
        rewards = [trace.earned(reward) for trace in traces]
        reasons = [self._unfit(trace, value) for trace, value in zip(traces, rewards, strict=True)]
        if self.best_of is None:
            return reasons
        members: dict[str, list[int]] = defaultdict(list)
        for place, trace in enumerate(traces):
            if reasons[place] is None:
                members[trace.task_id].append(place)
        for places in members.values():
            # Sorting is stable, so of equals the first stays first.
            for place in sorted(places, key=lambda place: rewards[place] or 0.0, reverse=True)[self.best_of :]:
                reasons[place] = "not_best"
        return reasons

    def _unfit(self, trace: Trace, reward: float | None) -> str | None:
        if trace.mask is not None:
            return f"masked:{trace.mask}"
        if self.succeeded and trace.status != "succeeded":
            return "not_succeeded"
        if self.at_least is None and self.best_of is None:
            return None
        if reward is None:
            return "no_reward"
        return "below_threshold" if self.at_least is not None and reward < self.at_least else None


class _Filtered:
    """An adapter behind a filter, under its own name."""

    def __init__(self, filter_: Filter, adapter: Adapter[Any]) -> None:
        self.name = adapter.name
        self._filter, self._adapter = filter_, adapter

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Any]:
        reasons = self._filter.reasons(traces, reward=getattr(self._adapter, "reward", "primary"))
        kept = [trace for trace, reason in zip(traces, reasons, strict=True) if reason is None]
        left = [
            Dropped(call_id=call.call_id, rollout_id=trace.rollout_id, reason=reason)
            for trace, reason in zip(traces, reasons, strict=True)
            if reason is not None
            for call in trace.calls
            if call.role == "policy"
        ]
        adapted = self._adapter(kept)
        return replace(adapted, dropped=(*left, *adapted.dropped))
