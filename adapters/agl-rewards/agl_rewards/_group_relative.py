"""`group_relative`: what a rollout earned beside the others that tried the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from agl_rewards._advantages import ADVANTAGES, Advantage
from agl_rewards._story import Terms, worth

__all__ = ["Entry", "Group", "grouped", "relative"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one rollout, or one agent in it, brings to its group."""

    rollout_id: str
    run_id: str | None
    group: str | None
    task_id: str
    agent: str | None
    """Null where rollouts are compared, and not agents."""
    calls: tuple[str, ...]
    """Its calls: what it is compared for."""
    terms: Terms

    @property
    def value(self) -> float:
        """Its reward."""
        return worth(self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Samples of one task, of one group of one run, that a reward was given to and that are not masked."""

    run_id: str | None
    group: str | None
    task_id: str
    agent: str | None
    rewards: Mapping[str, float] = field(default_factory=dict)
    """By rollout."""

    @property
    def size(self) -> int:
        """How many are compared."""
        return len(self.rewards)

    @property
    def mean(self) -> float:
        """Of their rewards."""
        return fmean(self.rewards.values())

    @property
    def std(self) -> float:
        """Of their rewards, as a sample: divided by one less than their number; 0 of one alone."""
        return stdev(self.rewards.values()) if self.size > 1 else 0.0

    @property
    def agrees(self) -> bool:
        """Whether all earned the same: then nobody is better than another."""
        return len(set(self.rewards.values())) == 1


def grouped(entries: Iterable[Entry]) -> Iterator[tuple[Group, Sequence[Entry]]]:
    """Each group with its members, in the order they first come."""
    members: dict[tuple[str | None, str | None, str, str | None], list[Entry]] = {}
    for entry in entries:
        members.setdefault((entry.run_id, entry.group, entry.task_id, entry.agent), []).append(entry)
    for (run_id, group, task_id, agent), them in members.items():
        rewards = {one.rollout_id: one.value for one in them}
        yield Group(run_id=run_id, group=group, task_id=task_id, agent=agent, rewards=rewards), them


def relative(entries: Iterable[Entry], advantage: Advantage) -> Iterator[tuple[Entry, Terms | None]]:
    """What each earned beside those it is compared with, as a sum over all their rewards; none of one alone.

    The advantages are those of `advantages`, a number for a number. 0 where all agree.
    """
    strategy = ADVANTAGES[advantage]
    for batch in _batches(entries):
        groups = [batch] if strategy.of_batch else [members for _, members in grouped(batch)]
        for entry in (members[0] for members in groups if len(members) == 1):
            yield entry, None
        groups = [members for members in groups if len(members) > 1]
        divisors = strategy.divisors([[one.value for one in members] for members in groups])
        for members, divisor in zip(groups, divisors, strict=True):
            yield from _relative(members, divisor, of="batch" if strategy.of_batch else "group")


def _batches(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    """Those of one run, and of agents of one name."""
    batches: dict[tuple[str | None, str | None], list[Entry]] = {}
    for entry in entries:
        batches.setdefault((entry.run_id, entry.agent), []).append(entry)
    return batches.values()


def _relative(members: Sequence[Entry], divisor: float, *, of: str) -> Iterator[tuple[Entry, Terms]]:
    count = len(members)
    by = "" if divisor == 1 else f" / {divisor:.6g}"
    own, others = (1 - 1 / count) / divisor, -1 / count / divisor
    whys = f"(1 - 1/{count}){by}, in a {of} of {count}", f"-1/{count}{by}, for the mean of the {of}"
    if len({one.value for one in members}) == 1:
        own, others, whys = 0.0, 0.0, (f"all {count} of the {of} agree",) * 2
    scaled = [(_times(one.terms, own, whys[0]), _times(one.terms, others, whys[1])) for one in members]
    for place, entry in enumerate(members):
        terms = (mine if place == index else theirs for index, (mine, theirs) in enumerate(scaled))
        yield entry, tuple(term for part in terms for term in part)


def _times(terms: Terms, factor: float, why: str) -> Terms:
    return tuple(replace(term, weight=term.weight * factor, why=f"{term.why}, times {why}") for term in terms)
