"""Rollouts that stay in the air while an algorithm goes on: groups are launched, and taken as they come to land."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agl_core.errors import BadValue
from agl_core.events import OutcomesRead, RolloutCancelled, RolloutDeleted, RolloutFinished
from agl_core.run import _rounds as rounds
from agl_core.run._base import Base
from agl_core.run._journal import Journal
from agl_core.run._weights import Weights
from agl_core.store import Outcome

__all__ = ["Flight", "Landed"]

_ENDS = (RolloutFinished.type, RolloutCancelled.type, RolloutDeleted.type)
"""After these, no further attempt is made at a rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A whole group: all samples of one task that were launched together."""

    outcomes: tuple[Outcome, ...]
    """In the order of their samples, failed ones among them."""
    age: int
    """Landings that went by between its launch and its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One that is in the air."""

    inputs: Mapping[str, Any]
    """Rollout to task."""
    since: int
    """Landings there had been when it was launched."""


class Flight:
    """Groups under way. Which of them land first is chance: it is recorded, and read back when the run is resumed.

    Launching and landing are movements of the run, one at a time. What was in the air when a run died is run on the
    weights that are wanted when the run goes on, not on those it was launched with.
    """

    def __init__(
        self,
        run: Base,
        journal: Journal,
        weights: Weights,
        label: str,
        *,
        repeat: int = 1,
        mode: str = "train",
        sampling: Mapping[str, Any] | None = None,
    ) -> None:
        self._run, self._journal, self._weights, self._label = run, journal, weights, label
        self._repeat, self._mode, self._sampling = repeat, mode, sampling
        self._groups: dict[int, _Group] = {}
        self._launched = self._landings = 0
        self._settling: dict[int, asyncio.Task[bool]] = {}
        """Of groups that have ended: whoever hears of that, such as a judge, is not through with them yet."""

    @property
    def in_air(self) -> int:
        """Groups that were launched, and not taken."""
        return len(self._groups)

    async def launch(self, tasks: Sequence[Any]) -> None:
        """Hand each task out, as often as a group has samples, with the run's current resources; and do not wait."""
        run, repeat = self._run, self._repeat
        with self._journal.movement("launch", self._label) as movement:
            requests = rounds.requests(
                run, tasks, movement.key, bundle=run.resources, mode=self._mode, repeat=repeat, sampling=self._sampling
            )
            rounds.check(self._journal, movement.key, requests)
            # Not of one that is read back: newer weights than those of its time may be wanted further on, and what is
            # left of it waits until the run does something new.
            if not rounds.has_begun(self._journal, movement.key):
                await self._weights.admit()
            ids = await rounds.hand_out(run, self._journal, movement.key, requests)
        for first in range(0, len(ids), repeat):
            members = {ids[place]: requests[place].input for place in range(first, first + repeat)}
            self._groups[self._launched] = _Group(inputs=members, since=self._landings)
            self._launched += 1

    async def landed(self, count: int) -> list[Landed]:
        """Wait until so many groups have come to their ends, all samples of them, and take those that were first.

        They come in the order of their launch. What came of each rollout is as `run.rollouts` would say it, and stays
        so when the run is resumed; raises `RolloutFailed` and `TooManyFailed` alike.
        """
        run, log = self._run, self._run.store.log
        if not 0 < count <= self.in_air:
            raise BadValue("count", count, why=f"{self.in_air} group(s) are in the air")
        with self._journal.movement("landed", self._label) as movement:
            if movement.recorded is not None:
                event = movement.recorded.event
                assert isinstance(event, OutcomesRead)
                groups, as_of = event.groups or (), event.as_of
                if len(groups) != count or not self._groups.keys() >= set(groups):
                    movement.check({"groups": list(groups)}, {"groups": sorted(self._groups)[:count]})
            else:
                await self._weights.admit()
                groups, as_of = await self._first(count), log.head()
                read = OutcomesRead(run_id=run.id, as_of=as_of, groups=groups)
                await log.soon([self._journal.draft(read, movement.key)])
        found = [self._outcomes(self._groups.pop(number), as_of) for number in groups]
        outcomes = [outcome for one in found for outcome in one.outcomes]
        rounds.refuse(log, outcomes, failures=run.failures, most=run.max_failed_fraction)
        self._landings += 1
        return found

    async def call_off(self, why: str) -> int:
        """Cancel what is in the air; how many groups that are."""
        groups, self._groups = self._groups, {}
        members = [rollout_id for group in groups.values() for rollout_id in group.inputs]
        # The last first, and all at once: a runner that is freed by the one must not begin another.
        await asyncio.gather(*(self._run.store.cancel_rollout(rollout_id, why) for rollout_id in reversed(members)))
        return len(groups)

    def _outcomes(self, group: _Group, as_of: int) -> Landed:
        found = self._run.store.ask.outcomes(list(group.inputs), group.inputs, as_of=as_of)
        outcomes = tuple(self._run.failures.outcome(outcome) for outcome in found)
        return Landed(outcomes=outcomes, age=self._landings - group.since)

    async def _first(self, count: int) -> tuple[int, ...]:
        """The numbers of those that were complete first."""
        store = self._run.store
        waiting: dict[int, asyncio.Task[bool]] = {}
        for number, group in self._groups.items():
            if number in self._settling:
                waiting[number] = self._settling.pop(number)
            else:
                waiting[number] = asyncio.ensure_future(store.wait(list(group.inputs)))
        try:
            while sum(task.done() for task in waiting.values()) < count:
                pending = [task for task in waiting.values() if not task.done()]
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            complete = [number for number, task in waiting.items() if task.done() and task.result()]
        except BaseException:
            for task in waiting.values():
                task.cancel()
            raise
        for number in waiting.keys() - complete:
            members = list(self._groups[number].inputs)
            # To break off whoever hears of its end would have them hear of it again.
            if len(store.ask.finished(members)) == len(members):
                self._settling[number] = waiting[number]
            else:
                waiting[number].cancel()
        return tuple(sorted(sorted(complete, key=self._end)[:count]))

    def _end(self, number: int) -> int:
        """Where in the log the last of the group came to its end."""
        log, ends = self._run.store.log, []
        for rollout_id in self._groups[number].inputs:
            last = list(log.read(stream=f"rollout/{rollout_id}", types=_ENDS))
            ends += [record.position for record in last]
        return max(ends)
