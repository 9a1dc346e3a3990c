"""Matching as a credit rule: what each call earned, where rewards name no call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from agl_core.adapter import Adapted, Credit, Dropped, Term, Trace, TraceReward, Unmatched
from agl_triplets._matching import RewardMatchPolicy
from agl_triplets._matching_calls import Rule, policy_of

__all__ = ["Matched"]

_WHY = {
    "call": "it names this call",
    "span": "it names a span that this call is in, and this is the most recent call there",
    "agent": "it names the agent, and this is its most recent call",
}
_WHY_MATCHED = {
    RewardMatchPolicy.FIRST_OCCURRENCE: "the most recent call without a reward when it was given",
    RewardMatchPolicy.FIRST_SIBLING: "the most recent call beside it without a reward when it was given",
}


@dataclass(frozen=True, slots=True)
class Matched:
    """What each call of the wire earned: the reward that v0.3's rule matches with it, whole, or nothing.

    A call without a reward is dropped as `no_reward`: it did not earn zero. Other reasons: `other_name` ·
    `other_agent` · `in_reward` · `masked:<status>` · `call_failed`.
    """

    name: ClassVar[str] = "matched"

    reward_match: RewardMatchPolicy = RewardMatchPolicy.FIRST_OCCURRENCE
    repair_hierarchy: bool = True
    llm_call_match: str = ""
    """Empty finds every call."""
    agent_match: str | None = None
    exclude_llm_call_in_reward: bool = True
    reward: str = "primary"
    """Name of the rewards that are matched."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reward_match", policy_of(self.reward_match))
        Rule.of(self)  # a pattern that is none is refused here

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Credit]:
        """Credits in the order of `traces`, then of the calls."""
        rule = Rule.of(self)
        rows: list[Credit] = []
        dropped: list[Dropped] = []
        unmatched: list[Unmatched] = []
        for trace in traces:
            found, root = rule.seen(trace)
            calls = [(one, one.piece.call) for one in found if one.piece.call is not None]
            reasons = {
                one.id: one.reason
                or (f"masked:{trace.mask}" if trace.mask else None)
                or (None if call.status == "ok" else "call_failed")
                for one, call in calls
            }
            by_call: Mapping[str, TraceReward] = {}
            if not trace.mask:
                matches = rule.matches(trace, root, [one for one, _ in calls if reasons[one.id] is None])
                by_call = matches.by_call
                unmatched += matches.unmatched
            for one, _ in calls:
                reason = reasons[one.id] or (None if one.id in by_call else "no_reward")
                if reason:
                    dropped.append(Dropped(call_id=one.id, rollout_id=trace.rollout_id, reason=reason))
                else:
                    rows.append(self._credit(one.id, trace, by_call[one.id]))
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=len(rows), unmatched=tuple(unmatched))

    def _credit(self, call_id: str, trace: Trace, reward: TraceReward) -> Credit:
        term = Term(
            reward_id=reward.id,
            rollout_id=trace.rollout_id,
            name=reward.given.name,
            judge=reward.given.judge,
            value=reward.given.value,
            weight=1.0,
            why=_WHY.get(reward.given.target.kind) or _WHY_MATCHED[self.reward_match],
        )
        rule = f"matched:{self.reward_match.value}"
        return Credit(call_id=call_id, rollout_id=trace.rollout_id, rule=rule, terms=(term,))
