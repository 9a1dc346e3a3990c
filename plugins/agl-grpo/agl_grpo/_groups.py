"""Groups: the attempts at one task of one round, and which tasks come when."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from agl_core.store import Outcome

__all__ = ["Round", "groups", "hands", "rewarded", "round_of", "spread"]

Item = TypeVar("Item")


class Row(Protocol):
    """What is read of a row; the `triplets` adapter says what each field means."""

    @property
    def rollout_id(self) -> str: ...
    @property
    def logprobs(self) -> Sequence[float]: ...
    @property
    def credits(self) -> Sequence[float]: ...


Learnt = TypeVar("Learnt", bound=Row)


def groups(outcomes: Sequence[Outcome], *, at_least: int = 2) -> list[dict[str, float]]:
    """Rewards by rollout, a group for each task that has so many members; one alone has nobody to beat."""
    by_task: dict[str, dict[str, float]] = defaultdict(dict)
    for task, rollout, reward in rewarded(outcomes):
        by_task[task][rollout] = reward
    return [group for group in by_task.values() if len(group) >= at_least]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round(Generic[Learnt]):
    """What an update learns from."""

    rows: Sequence[Learnt]
    rollouts: Mapping[str, int]
    """Tokens that each sampled which counts: members of groups, with rows or without, and whoever has a row."""
    left_out: int
    """Groups in which no call earned more or less than 0, where such are left out."""


def round_of(
    grouped: Sequence[Mapping[str, float]], rows: Sequence[Learnt], *, leave_out_silent: bool = False
) -> Round[Learnt]:
    """All of the groups and of the rows; without what is silent, if that is asked for: then neither rows nor N have it.

    Advantages are there already, and of complete groups: nothing that is left out here was missing in a mean.
    """
    rollouts = {rollout: 0 for group in grouped for rollout in group}
    for row in rows:
        rollouts[row.rollout_id] = rollouts.get(row.rollout_id, 0) + len(row.logprobs)
    if not leave_out_silent:
        return Round(rows=rows, rollouts=rollouts, left_out=0)
    speaking = {row.rollout_id for row in rows if any(row.credits)}
    silent = [group for group in grouped if speaking.isdisjoint(group)]
    out = {rollout for group in silent for rollout in group}
    return Round(
        rows=[row for row in rows if row.rollout_id not in out],
        rollouts={rollout: tokens for rollout, tokens in rollouts.items() if rollout not in out},
        left_out=len(silent),
    )


def rewarded(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str, float]]:
    """Task, rollout and reward of every outcome that counts, good or bad: the run says which do."""
    for outcome in outcomes:
        if outcome.reward is not None and outcome.mask is None:
            yield outcome.task_id, outcome.rollout_id, outcome.reward


def spread(grouped: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What the rewards of a round look like, as metrics."""
    rewards = sorted(reward for group in grouped for reward in group.values())
    if not rewards:
        return {"reward/n": 0}
    tenths = quantiles(rewards, n=10, method="inclusive")
    agreeing = sum(min(group.values()) == max(group.values()) for group in grouped)
    return {
        "reward/mean": fmean(rewards),
        "reward/p10": tenths[0],
        "reward/p90": tenths[-1],
        "reward/n": len(rewards),
        "group/size": len(rewards) / len(grouped),
        "group/zero_variance": agreeing / len(grouped),
    }


def hands(items: Sequence[Item], size: int, random: random.Random) -> Iterator[list[Item]]:
    """Draw `size` at a time, for ever: each once before any comes again, and none twice in a hand."""
    size = min(size, len(items))
    deck: list[int] = []
    while True:
        hand, deck = deck[:size], deck[size:]
        if (missing := size - len(hand)) > 0:
            fresh = random.sample(range(len(items)), len(items))
            # What is in the hand already waits for the end of the next round.
            others = [index for index in fresh if index not in hand]
            deck = others[missing:] + [index for index in fresh if index in hand]
            hand += others[:missing]
        yield [items[index] for index in hand]
