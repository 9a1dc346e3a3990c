"""A rollout as a rule sees it: the calls that can earn, the rewards that are looked at, and terms made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, isfinite

from agl_core.adapter import Term, Trace, TraceReward, Unmatched
from agl_core.events import CallRecorded
from agl_core.spans.rewards import is_called

__all__ = ["Earned", "Story", "Terms", "worth"]

Terms = tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """What a rule gives to a rollout's calls."""

    terms: Mapping[str, Terms] = field(default_factory=dict)
    """By call."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By call, why it gets nothing, where that is not `no_reward`."""
    unmatched: Sequence[Unmatched] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A rollout that may be learnt from, and the names of the rewards that make its credit."""

    trace: Trace
    names: Mapping[str, float]
    """To the weight of each: a credit wants a reward of every name, and adds them up."""
    calls: Mapping[str, CallRecorded]
    """What the policy did: its calls that were answered, by their ids, in the order they were recorded."""

    @classmethod
    def of(cls, trace: Trace, names: Mapping[str, float]) -> Story:
        """That of a trace."""
        calls = (call for call in trace.calls if call.role == "policy" and call.status == "ok")
        return cls(trace=trace, names=names, calls={call.call_id: call for call in calls})

    def given(self, name: str, kinds: Collection[str]) -> list[TraceReward]:
        """Rewards of that name for targets of those kinds, in the order they were given."""
        return [
            reward
            for reward in self.trace.rewards
            if reward.given.target.kind in kinds and is_called(reward.given, name)
        ]

    def term(self, name: str, reward: TraceReward, *, why: str, weight: float = 1.0) -> Term:
        """The reward's part in a credit; a name's own weight comes on top."""
        return Term(
            reward_id=reward.id,
            rollout_id=self.trace.rollout_id,
            name=name,
            judge=reward.given.judge,
            value=reward.given.value,
            weight=self.names[name] * weight,
            why=self._why(name, why if reward.id is not None else f"{why}, {self._not_given}"),
        )

    def zero(self, name: str) -> Term | None:
        """What counts where nobody gave a reward: nothing, unless the run treats such rollouts so."""
        if self.trace.treated != "zero":
            return None
        return Term(
            reward_id=None,
            rollout_id=self.trace.rollout_id,
            name=name,
            judge="failures",
            value=0.0,
            weight=self.names[name],
            why=self._why(name, self._not_given),
        )

    def alike(self, terms: Iterable[Term] | None) -> Mapping[str, Terms]:
        """The same for each of its calls."""
        return {} if terms is None else dict.fromkeys(self.calls, tuple(terms))

    @property
    def _not_given(self) -> str:
        return f"a zero nobody gave: so the run counts {self.trace.exit_status or self.trace.status}"

    def _why(self, name: str, why: str) -> str:
        return why if len(self.names) == 1 and self.names[name] == 1 else f"{self.names[name]:g} of {name}: {why}"


def worth(terms: Terms) -> float:
    """What they add up to. Raises `OverflowError` where that is no finite number."""
    try:
        total = fsum(term.weight * term.value for term in terms)
    except ValueError:  # one infinity less another
        raise OverflowError from None
    if not isfinite(total):
        raise OverflowError
    return total
