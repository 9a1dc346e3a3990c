"""Which rollouts are learnt from: the adapter `chosen`, with a credit for their calls and a reason for all others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal, get_args

from agl_core.adapter import Adapted, Credit, Dropped, Term, Trace
from agl_core.errors import BadValue

__all__ = ["Chosen", "Rule"]

Rule = Literal["best_of_n", "threshold", "weighted"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Traces into credits: each call of a rollout that is chosen earned what the rollout did.

    Every other policy call is dropped, with the first of these reasons that holds: `masked:<status>` (cancelled, or
    ended by something the policy did not cause) · `no_reward` (nobody scored it, and a missing reward is no zero) ·
    `below_threshold` · `not_positive` (`weighted`: it would weigh nothing, or less) · `not_best` (`best_of_n`: so many
    others of its task earned more, or as much and earlier) · `call_failed`.
    """

    name: ClassVar[str] = "chosen"

    rule: Rule = "best_of_n"
    """`best_of_n`: the best of each task. `threshold`: all that earned `at_least`. `weighted`: all that earned
    something, for a loss that weighs each by what it earned."""
    _: KW_ONLY
    best: int = 1
    """`best_of_n`: so many of each task."""
    at_least: float | None = None
    """Rollouts that earned less are not chosen, whatever the rule."""
    reward: str = "primary"
    """Name of the reward that counts."""

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise BadValue("choose", self.rule, why=f"it is one of {', '.join(get_args(Rule))}")
        if self.best < 1:
            raise BadValue("best", self.best, why="the best of a task are one or more")
        if self.best > 1 and self.rule != "best_of_n":
            raise BadValue("best", self.best, why=f"{self.rule!r} has no use for it: `best_of_n` alone has")
        if self.at_least is not None and not math.isfinite(self.at_least):
            raise BadValue("at_least", self.at_least, why="it is a reward, and rewards are finite")
        if self.at_least is None and self.rule == "threshold":
            raise BadValue("at_least", None, why="`threshold` wants to know what a rollout must have earned")

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Credit]:
        """Credits in the order of `traces`, then of their calls."""
        rows: list[Credit] = []
        dropped: list[Dropped] = []
        for trace, reason in zip(traces, self.reasons(traces), strict=True):
            terms = (self._term(trace),) if reason is None else ()
            for call in trace.calls:
                whose = {"call_id": call.call_id, "rollout_id": trace.rollout_id}
                if call.role != "policy":
                    continue
                if terms and call.status == "ok":
                    rows.append(Credit(**whose, rule=self.rule, terms=terms))
                else:
                    dropped.append(Dropped(**whose, reason=reason or "call_failed"))
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=len(rows))

    def reasons(self, traces: Sequence[Trace]) -> list[str | None]:
        """Why each is not learnt from; None of one that is."""
        rewards = [trace.earned(self.reward) for trace in traces]
        reasons = [self._unfit(trace, reward) for trace, reward in zip(traces, rewards, strict=True)]
        if self.rule != "best_of_n":
            return reasons
        fit: dict[str, list[int]] = defaultdict(list)
        for place, trace in enumerate(traces):
            if reasons[place] is None:
                fit[trace.task_id].append(place)
        for places in fit.values():
            # Sorting is stable, so of equals the first stays first.
            for place in sorted(places, key=lambda place: rewards[place] or 0.0, reverse=True)[self.best :]:
                reasons[place] = "not_best"
        return reasons

    def _unfit(self, trace: Trace, reward: float | None) -> str | None:
        if trace.mask is not None:
            return f"masked:{trace.mask}"
        if reward is None:
            return "no_reward"
        if self.at_least is not None and reward < self.at_least:
            return "below_threshold"
        return "not_positive" if self.rule == "weighted" and reward <= 0 else None

    def _term(self, trace: Trace) -> Term:
        final = trace.final(self.reward)
        assert final is not None  # or there was a reason
        return Term(
            reward_id=final.id,
            rollout_id=trace.rollout_id,
            name=self.reward,
            judge=final.given.judge,
            value=final.given.value,
            weight=1.0,
            why=self._why,
        )

    @property
    def _why(self) -> str:
        among = f" that earned {self.at_least:g} or more" if self.at_least is not None else ""
        match self.rule:
            case "best_of_n":
                return f"among the best {self.best} of its task{among}"
            case "threshold":
                return f"one of those{among}"
            case "weighted":
                return f"one of those{among or ' that earned something'}, and its loss weighs as much"
