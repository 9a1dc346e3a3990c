"""Where the groups of a step come from: a round that is waited for, or a flight of which the first are taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

from agl_core.errors import BadValue
from agl_grpo._groups import groups, hands

if TYPE_CHECKING:
    from agl_core.run import Run
    from agl_core.store import Outcome
    from agl_grpo._config import GrpoConfig

__all__ = ["Collected", "Collecting", "collecting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a step learns from."""

    groups: Sequence[Sequence[Outcome]]
    """Whole ones: all attempts at a task that were handed out together."""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def outcomes(self) -> list[Outcome]:
        """Of all of them."""
        return [outcome for group in self.groups for outcome in group]

    def rewarded(self, *, at_least: int) -> list[dict[str, float]]:
        """Rewards by rollout, of the groups of which so many members count."""
        # Each by itself: the same task may have been in the air twice.
        return [found for group in self.groups for found in groups(group, at_least=at_least)]


class Collecting(Protocol):
    """Who brings them."""

    async def collect(self) -> Collected:
        """The groups of the next step."""
        ...

    async def call_off(self, why: str) -> None:
        """No more steps: what is under way is of no use."""
        ...


def collecting(run: Run, config: GrpoConfig, sampling: Mapping[str, Any]) -> Collecting:
    """As the configuration has it."""
    if not config.groups_in_flight:
        return _Rounds(run, config, sampling)
    if run.deterministic:
        why = "which groups come first is chance, and a deterministic run leaves nothing to it: say 0"
        raise BadValue("groups_in_flight", config.groups_in_flight, why=why)
    return _Flying(run, config, sampling)


class _Rounds:
    """A step waits for all that it hands out."""

    def __init__(self, run: Run, config: GrpoConfig, sampling: Mapping[str, Any]) -> None:
        self._run, self._size, self._sampling = run, config.group_size, sampling
        self._drawn = hands(run.train, config.tasks_per_step, run.rng("tasks"))

    async def collect(self) -> Collected:
        hand_out = self._run.rollouts
        outcomes = await hand_out(next(self._drawn), repeat=self._size, label="train", sampling=self._sampling)
        return Collected(groups=[outcomes[first : first + self._size] for first in range(0, len(outcomes), self._size)])

    async def call_off(self, why: str) -> None:
        """Nothing is under way between two rounds."""


class _Flying:
    """A step takes the groups that are complete first; the others stay in the air, and newer weights go on with them.

    New groups are launched when new weights are in place. In all it launches as many as its steps take.
    """

    def __init__(self, run: Run, config: GrpoConfig, sampling: Mapping[str, Any]) -> None:
        self._size, self._most = min(config.tasks_per_step, len(run.train)), config.groups_in_flight
        self._tasks = islice(
            chain.from_iterable(hands(run.train, self._size, run.rng("tasks"))), config.steps * self._size
        )
        self._flight = run.flight("train", repeat=config.group_size, sampling=sampling)

    async def collect(self) -> Collected:
        flight = self._flight
        if tasks := list(islice(self._tasks, self._most - flight.in_air)):
            await flight.launch(tasks)
        in_flight = flight.in_air
        landed = await flight.landed(self._size)
        metrics = {
            "async/in_flight": in_flight,
            "async/carried_over": flight.in_air,
            "async/age_max": max(group.age for group in landed),
        }
        return Collected(groups=[group.outcomes for group in landed], metrics=metrics)

    async def call_off(self, why: str) -> None:
        await self._flight.call_off(why)
