"""`group_relative`: what a rollout earned beside the others that tried the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from agl_rewards._story import Terms, worth

__all__ = ["Entry", "Group", "grouped", "relative"]

_EPSILON = 1e-6  # rewards that differ by rounding alone would have advantages of order one


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


def relative(group: Group, members: Sequence[Entry], *, normalise_std: bool) -> Iterator[tuple[Entry, Terms]]:
    """A_i = (r_i - mean(r)) / std(r) (DeepSeekMath, arXiv 2402.03300, 4.1.2), as a sum over all members' rewards.

    Without `normalise_std`, A_i = r_i - mean(r) (Dr. GRPO, arXiv 2503.20783). 0 in a group that agrees.
    """
    count = group.size
    scale = group.std + _EPSILON if normalise_std else 1.0
    by = f" / {scale:.6g}" if normalise_std else ""
    own, others = (1 - 1 / count) / scale, -1 / count / scale
    whys = f"(1 - 1/{count}){by}, in a group of {count}", f"-1/{count}{by}, for the mean of the group"
    if group.agrees:
        own, others, whys = 0.0, 0.0, (f"all {count} of the group agree",) * 2
    scaled = [(_times(one.terms, own, whys[0]), _times(one.terms, others, whys[1])) for one in members]
    for place, entry in enumerate(members):
        terms = (mine if place == index else theirs for index, (mine, theirs) in enumerate(scaled))
        yield entry, tuple(term for part in terms for term in part)


def _times(terms: Terms, factor: float, why: str) -> Terms:
    return tuple(replace(term, weight=term.weight * factor, why=f"{term.why}, times {why}") for term in terms)
