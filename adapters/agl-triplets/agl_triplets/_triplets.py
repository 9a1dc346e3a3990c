"""The adapter: which calls may train, and the rows they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

from agl_core.adapter import Adapted, Adapter, Credit, Dropped, Earned, Trace
from agl_core.errors import BadValue
from agl_core.events import CallRecorded
from agl_triplets._fit import fitting
from agl_triplets._merge import merge, separate
from agl_triplets._row import Row
from agl_triplets._segment import Segment
from agl_triplets._unusable import Unusable

__all__ = ["Triplets"]

Group = tuple[str | None, str | None, str]


@dataclass(frozen=True, slots=True)
class Triplets:
    """Traces into rows of token ids, mask, logprobs and what each call earned.

    The reward of a rollout is the value of the last counted reward event of that name whose target is the rollout; a
    rollout without one has none, and its calls are dropped, never scored zero, unless a `credit` adapter has credit for
    them. Calls of judges and tools are not looked at. Every other call ends in a row or in `dropped`, with the first of
    these reasons that holds:

    `other_agent` · `other_model` · `masked:<status>` (cancelled, or ended by something the policy did not cause) ·
    `no_reward`, or why the `credit` adapter has none for it (`no_credit` where it does not say) · `group_too_small` ·
    what `Unusable` says of a call that cannot train · `too_stale` · `too_long`.
    """

    name: ClassVar[str] = "triplets"

    level: Literal["trajectory", "transition"] = "trajectory"
    """`trajectory` merges calls on exact token prefixes; `transition` makes a row of each answer."""
    _: KW_ONLY
    agent: str | None = None
    """Keep the calls of this agent only."""
    model: str | None = None
    """Keep the calls to this model only, whichever version of it was asked for: where several learn, each from its
    own."""
    min_group: int = 2
    """Rollouts of one task in one group of a run that make a baseline, not masked, and rewarded or with credit; fewer
    are dropped."""
    reward: str = "primary"
    """Name of the reward that counts."""
    credit: Adapter[Credit] | None = None
    """Says what each call earned, such as `rewards`; without one it is the final reward of the rollout."""
    current_version: int | None = None
    """Version of the weights in training, which staleness is counted from."""
    max_staleness: int | None = None
    """Versions that a call may be behind the current one; an older one is dropped, and its rollout stays in every
    baseline. Calls of which it is not known are kept."""
    max_length: int | None = None
    """Tokens of the longest row that is kept. A longer one is dropped whole, never cut: its head alone would be another
    conversation, and its tail an answer to nothing. What is left of the rollout weighs as much as any other rollout."""
    allow_multimodal: bool = False
    """Keep calls with images, sounds or files in their prompts, for a learner that puts them where the ids have
    placeholders; the rows do not have them."""
    allow_retokenised: bool = False
    """Keep calls whose ids were made again from text, and mark them so in the row's `provenance`."""
    allow_truncated_sampling: bool = False
    """Keep calls whose sampler cut or bent the distribution, though a learner's logprobs will differ from theirs."""

    @property
    def by_task(self) -> bool:
        """Whether the rows of a task depend on its own rollouts alone: as far as credits do."""
        return self.credit is None or bool(getattr(self.credit, "by_task", False))

    def __post_init__(self) -> None:
        if self.level not in {"trajectory", "transition"}:
            raise BadValue("level", self.level, why="it is 'trajectory' or 'transition'")
        if self.min_group < 1:
            raise BadValue("min_group", self.min_group, why="a group has at least one member")
        if self.max_staleness is not None and self.max_staleness < 0:
            raise BadValue("max_staleness", self.max_staleness, why="no call is ahead of the weights in training")
        if self.max_staleness is not None and self.current_version is None:
            raise BadValue(
                "max_staleness", self.max_staleness, why="`current_version`, which it is counted from, is null"
            )
        if self.max_length is not None and self.max_length < 1:
            raise BadValue("max_length", self.max_length, why="a row has at least one token")
        if self.credit is not None and not callable(self.credit):
            raise BadValue("credit", self.credit, why="it is an adapter, or its options with its name: {'name': ...}")

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Row]:
        """Rows in the order of `traces`, then of the calls that began them."""
        earned = Earned.by(self.credit, traces) if self.credit is not None else _final(traces, self.reward)
        members = Counter(_group(trace) for trace in traces if self._is_member(trace, earned))
        unusable = Unusable(
            allow_multimodal=self.allow_multimodal,
            allow_retokenised=self.allow_retokenised,
            allow_truncated_sampling=self.allow_truncated_sampling,
        )
        rows: list[Row] = []
        dropped: list[Dropped] = []
        kept = 0
        for trace in traces:
            usable: list[CallRecorded] = []
            is_alone = members[_group(trace)] < self.min_group
            for recorded in trace.calls:
                if recorded.role != "policy":
                    continue
                reason = (
                    self._unfit(trace, recorded)
                    or earned.why_not(recorded.call_id)
                    or ("group_too_small" if is_alone else None)
                    or unusable.why(recorded)
                    or ("too_stale" if self._is_too_stale(recorded) else None)
                )
                if reason:
                    dropped.append(Dropped(call_id=recorded.call_id, rollout_id=trace.rollout_id, reason=reason))
                else:
                    usable.append(recorded)
            segments, too_long = self._segments(usable)
            dropped += [
                Dropped(call_id=recorded.call_id, rollout_id=trace.rollout_id, reason="too_long")
                for recorded in usable
                if recorded.call_id in too_long
            ]
            kept += len(usable) - len(too_long)
            rows += self._rows(trace, segments, earned.by_call)
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=kept, unmatched=earned.unmatched)

    def _segments(self, calls: Sequence[CallRecorded]) -> tuple[list[Segment], set[str]]:
        segments = merge(calls) if self.level == "trajectory" else separate(calls)
        return (segments, set()) if self.max_length is None else fitting(segments, self.max_length)

    def _rows(self, trace: Trace, segments: Sequence[Segment], credits: Mapping[str, float]) -> Iterator[Row]:
        rollout_tokens = sum(len(segment.logprobs) for segment in segments)
        reward = trace.earned(self.reward)
        for segment in segments:
            yield self._row(trace, segment, credits, reward=reward, rollout_tokens=rollout_tokens)

    def _row(
        self,
        trace: Trace,
        segment: Segment,
        credits: Mapping[str, float],
        *,
        reward: float | None,
        rollout_tokens: int,
    ) -> Row:
        calls = [recorded for recorded, _ in segment.turns]
        return Row(
            rollout_id=trace.rollout_id,
            attempt_id=trace.attempt_id,
            task_id=trace.task_id,
            run_id=trace.run_id,
            group=trace.group,
            repeat=trace.repeat,
            token_ids=segment.tokens,
            prompt_length=segment.prompt_length,
            mask=tuple(segment.mask),
            logprobs=tuple(segment.logprobs),
            call_ids=tuple(recorded.call_id for recorded in calls),
            sampled=tuple(len(choice.token_ids) for _, choice in segment.turns),
            credits=tuple(credits[recorded.call_id] for recorded in calls),
            policy_versions=tuple(recorded.policy_version for recorded in calls),
            staleness=tuple(self._staleness(recorded) for recorded in calls),
            provenance=tuple(recorded.call.provenance for recorded in calls),
            reward=reward,
            temperature=segment.temperature,
            rollout_tokens=rollout_tokens,
            began=segment.beginning.why,
            differs_at=segment.beginning.differs_at,
            differs_from=segment.beginning.differs_from,
            expected=segment.beginning.expected,
        )

    def _staleness(self, recorded: CallRecorded) -> int | None:
        spoke, current = recorded.policy_version, self.current_version
        return None if spoke is None or current is None else current - spoke

    def _is_too_stale(self, recorded: CallRecorded) -> bool:
        behind = self._staleness(recorded)
        return self.max_staleness is not None and behind is not None and behind > self.max_staleness

    def _unfit(self, trace: Trace, recorded: CallRecorded) -> str | None:
        if self.agent is not None and recorded.agent != self.agent:
            return "other_agent"
        if self.model is not None and self.model not in {recorded.call.model, recorded.call.model.rpartition("@")[0]}:
            return "other_model"
        return f"masked:{trace.mask}" if trace.mask else None

    def _is_member(self, trace: Trace, earned: Earned) -> bool:
        if trace.mask:
            return False
        return trace.earned(self.reward) is not None or any(call.call_id in earned.by_call for call in trace.calls)


def _final(traces: Sequence[Trace], name: str) -> Earned:
    by_call: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for trace in traces:
        value = trace.earned(name)
        for recorded in trace.calls:
            if value is None:
                reasons[recorded.call_id] = "no_reward"
            else:
                by_call[recorded.call_id] = value
    return Earned(by_call=by_call, reasons=reasons)


def _group(trace: Trace) -> Group:
    return trace.run_id, trace.group, trace.task_id
