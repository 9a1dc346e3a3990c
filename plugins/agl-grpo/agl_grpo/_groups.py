"""Groups: the attempts at one task of one round, and which tasks come when."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, quantiles
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from agl_core.store import Outcome

__all__ = ["groups", "hands", "rewarded", "spread"]

Item = TypeVar("Item")


def groups(outcomes: Sequence[Outcome]) -> list[dict[str, float]]:
    """Rewards by rollout, a group for each task that has two members or more; the others have nobody to beat."""
    by_task: dict[str, dict[str, float]] = defaultdict(dict)
    for task, rollout, reward in rewarded(outcomes):
        by_task[task][rollout] = reward
    return [group for group in by_task.values() if len(group) > 1]


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
