"""The adapter: a rule, what it is told, and a credit or a reason for every policy call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import ClassVar, Literal, get_args

from agl_core.adapter import Adapted, Credit, Dropped, Trace, Unmatched
from agl_core.errors import BadValue
from agl_core.events import CallRecorded
from agl_rewards._advantages import Advantage
from agl_rewards._discounted import discounted
from agl_rewards._final import final
from agl_rewards._group_relative import Entry, Group, grouped, relative
from agl_rewards._per_agent import by_agent, per_agent
from agl_rewards._per_call import per_call
from agl_rewards._story import Earned, Story, Terms, worth
from agl_rewards._sum import total

__all__ = ["Rewards"]

Rule = Literal["final", "sum", "per_call", "discounted", "per_agent", "group_relative"]
Base = Literal["final", "sum", "per_agent"]
_TELLS = {
    "advantage": {"group_relative"},
    "gamma": {"discounted"},
    "otherwise": {"per_call", "per_agent"},
    "of": {"group_relative"},
    "normalise_std": {"group_relative"},
}
"""Which rules an option says anything to."""


@dataclass(frozen=True, slots=True)
class Rewards:
    """Traces into credits: one for each policy call that earned something, by the rule that is named.

    Every other policy call is dropped, with the first of these reasons that holds: `other_agent` ·
    `masked:<status>` (cancelled, or ended by something the policy did not cause) · `call_failed` · `no_reward` (the
    rule has none for it, and a missing reward is no zero) · `group_too_small` (fewer than two to compare).

    A reward that the rule looks at, and that is for no call, is in `unmatched`: `unknown_target` (the trace has no
    such call, span or agent) · `call_failed` · `not_policy` (it is for a call of a judge or a tool) · `no_call`
    (nothing the policy said is in that span, or by that agent).
    """

    name: ClassVar[str] = "rewards"

    rule: Rule = "final"
    """`final`, `sum`: of the rollout, for each of its calls. `per_call`, `per_agent`: of the call, of its agent.
    `discounted`: all that came after. `group_relative`: beside the others that tried the same task."""
    _: KW_ONLY
    reward: str | Mapping[str, float] = "primary"
    """Name of the rewards that count; or several names, each with its weight, whose sum does."""
    gamma: float = 1.0
    """`discounted`: what a reward is worth one call earlier."""
    otherwise: Literal["drop", "final"] = "drop"
    """`per_call`, `per_agent`: what becomes of a call that has none of its own: dropped, or the rollout's final."""
    of: Base = "final"
    """`group_relative`: the rule whose credits are compared; with `per_agent`, agents of one name."""
    advantage: Advantage = "grpo"
    """`group_relative`: `grpo` divides the distance from the group's mean by its standard deviation, `dr_grpo` does
    not, `rloo` takes the mean of the others; `reinforce++_baseline` divides by the deviation of the whole batch, and
    `reinforce++` takes that batch's mean as well. A batch is what is adapted together."""
    normalise_std: bool = True
    """`group_relative` with `grpo`: without it, the same as `dr_grpo`."""
    agent: str | None = None
    """Keep the calls of this agent only."""

    @property
    def by_task(self) -> bool:
        """Whether the credits of a task depend on its own rollouts alone: unless the whole batch is their measure."""
        return self.advantage not in {"reinforce++", "reinforce++_baseline"}

    def __post_init__(self) -> None:
        choices = {"rule": Rule, "of": Base, "otherwise": Literal["drop", "final"], "advantage": Advantage}
        for option, known in choices.items():
            if getattr(self, option) not in get_args(known):
                raise BadValue(option, getattr(self, option), why=f"it is one of {', '.join(get_args(known))}")
        for field in fields(self):
            if self.rule not in _TELLS.get(field.name, {self.rule}) and getattr(self, field.name) != field.default:
                why = f"rule {self.rule!r} has no use for it: {' and '.join(sorted(_TELLS[field.name]))} alone have"
                raise BadValue(field.name, getattr(self, field.name), why=why)
        if not self.normalise_std and self.advantage not in {"grpo", "dr_grpo"}:
            raise BadValue("normalise_std", value=False, why=f"{self.advantage!r} says itself what it divides by")
        if not 0 <= self.gamma <= 1:
            raise BadValue("gamma", self.gamma, why="it is from 0 to 1")
        if not _is_name(self.reward) and not _is_mix(self.reward):
            raise BadValue("reward", self.reward, why="it is a name, or names each with a finite weight")

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Credit]:
        """Credits in the order of `traces`, then of their calls. Raises `BadValue` for rewards too large to add."""
        try:
            return self._adapted(traces)
        except OverflowError:
            why = "the rewards it is made of are too large to be added"
            raise BadValue("credit", self.rule, why=why) from None

    def groups(self, traces: Sequence[Trace]) -> tuple[Group, ...]:
        """Who is compared with whom under `group_relative`, and what each earned; groups of one, too."""
        entries, _ = self._entries(tuple(self._stories(traces).values()))
        return tuple(group for group, _ in grouped(entry for them in entries for entry in them))

    def _adapted(self, traces: Sequence[Trace]) -> Adapted[Credit]:
        stories = self._stories(traces)
        earned = dict(zip(stories, self._earned(tuple(stories.values())), strict=True))
        rows: list[Credit] = []
        dropped: list[Dropped] = []
        unmatched: list[Unmatched] = []
        for place, trace in enumerate(traces):
            mine = earned.get(place, Earned())
            unmatched += mine.unmatched
            for call in trace.calls:
                if call.role != "policy":
                    continue
                terms = mine.terms.get(call.call_id)
                reason = self._left_out(trace, call)
                if reason is None and terms is not None:
                    rows.append(_credit(call, self.rule, terms))
                else:
                    reason = reason or mine.reasons.get(call.call_id, "no_reward")
                    dropped.append(Dropped(call_id=call.call_id, rollout_id=trace.rollout_id, reason=reason))
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=len(rows), unmatched=tuple(unmatched))

    @property
    def _names(self) -> Mapping[str, float]:
        return {self.reward: 1.0} if isinstance(self.reward, str) else dict(self.reward)

    def _stories(self, traces: Sequence[Trace]) -> dict[int, Story]:
        """By their place, the rollouts that may be learnt from."""
        names = self._names
        return {place: Story.of(trace, names) for place, trace in enumerate(traces) if not trace.mask}

    def _left_out(self, trace: Trace, call: CallRecorded) -> str | None:
        if self.agent is not None and call.agent != self.agent:
            return "other_agent"
        if trace.mask:
            return f"masked:{trace.mask}"
        return None if call.status == "ok" else "call_failed"

    def _earned(self, stories: Sequence[Story]) -> list[Earned]:
        """What each rollout's calls get, in order."""
        match self.rule:
            case "final":
                return [Earned(terms=story.alike(final(story))) for story in stories]
            case "sum":
                return [Earned(terms=story.alike(total(story))) for story in stories]
            case "per_call":
                return [self._or_final(story, per_call(story)) for story in stories]
            case "per_agent":
                return [self._or_final(story, per_agent(story)) for story in stories]
            case "discounted":
                return [discounted(story, gamma=self.gamma) for story in stories]
            case "group_relative":
                return self._beside(stories)

    def _or_final(self, story: Story, earned: Earned) -> Earned:
        if self.otherwise == "drop":
            return earned
        return replace(earned, terms={**story.alike(final(story)), **earned.terms})

    def _beside(self, stories: Sequence[Story]) -> list[Earned]:
        entries, unmatched = self._entries(stories)
        places = {id(entry): place for place, them in enumerate(entries) for entry in them}
        terms: list[dict[str, Terms]] = [{} for _ in stories]
        reasons: list[dict[str, str]] = [{} for _ in stories]
        advantage: Advantage = self.advantage if self.normalise_std else "dr_grpo"
        for entry, sums in relative((entry for them in entries for entry in them), advantage):
            place = places[id(entry)]
            if sums is None:
                reasons[place] |= dict.fromkeys(entry.calls, "group_too_small")
            else:
                terms[place] |= dict.fromkeys(entry.calls, sums)
        return [
            Earned(terms=mine, reasons=why, unmatched=missed)
            for mine, why, missed in zip(terms, reasons, unmatched, strict=True)
        ]

    def _entries(self, stories: Sequence[Story]) -> tuple[list[list[Entry]], list[list[Unmatched]]]:
        """What each rollout brings to its groups, and what it could not."""
        entries: list[list[Entry]] = []
        unmatched: list[list[Unmatched]] = []
        for story in stories:
            if self.of == "per_agent":
                earned, missed = by_agent(story)
                entries.append(
                    [_entry(story, terms, agent=agent, calls=_by(story, agent)) for agent, terms in earned.items()]
                )
                unmatched.append(missed)
            else:
                whole = final(story) if self.of == "final" else total(story)
                entries.append([] if whole is None else [_entry(story, whole, agent=None, calls=tuple(story.calls))])
                unmatched.append([])
        return entries, unmatched


def _is_name(given: object) -> bool:
    return isinstance(given, str) and bool(given)


def _is_mix(given: object) -> bool:
    if not isinstance(given, Mapping):
        return False
    numbers = (isinstance(weight, int | float) and math.isfinite(weight) for weight in given.values())
    return bool(given) and all(map(_is_name, given)) and all(numbers)


def _entry(story: Story, terms: Terms, *, agent: str | None, calls: tuple[str, ...]) -> Entry:
    trace = story.trace
    return Entry(
        rollout_id=trace.rollout_id, run_id=trace.run_id, group=trace.group, task_id=trace.task_id, agent=agent,
        calls=calls, terms=terms,
    )  # fmt: skip


def _by(story: Story, agent: str | None) -> tuple[str, ...]:
    return tuple(call_id for call_id, call in story.calls.items() if call.agent == agent)


def _credit(call: CallRecorded, rule: str, terms: Terms) -> Credit:
    worth(terms)  # or it is refused here, and not where somebody adds it
    return Credit(call_id=call.call_id, rollout_id=call.rollout_id, rule=rule, terms=terms)
