"""The adapter: which calls may train, and the rows they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

from agl_core.adapter import Adapted, Dropped, Trace
from agl_core.errors import BadValue
from agl_core.events import CallRecorded, Message, ModelCall
from agl_triplets._merge import Segment, merge, separate, temperature
from agl_triplets._row import Row

__all__ = ["Triplets"]

# What else bends a distribution, by the names engines have for it, and the value that does not.
_RESHAPING = {"min_p": 0, "typical_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1}


@dataclass(frozen=True, slots=True)
class Triplets:
    """Traces into rows of token ids, mask, logprobs and reward.

    The reward of a rollout is the value of the last counted reward event of that name whose target is the rollout; a
    rollout without one has none, and its calls are dropped, never scored zero. Calls of judges and tools are not looked
    at. Every other call ends in a row or in `dropped`, with the first of these reasons that holds:

    `other_agent` · `masked:<status>` (cancelled, or ended by something the policy did not cause) · `no_reward` ·
    `group_too_small` · `call_failed` · `no_token_ids` · `retokenised` (ids made again from text are not what was
    sampled) · `empty` (nothing was sampled) · `no_logprobs` · `greedy` (temperature 0 samples from no distribution) ·
    `raw_logprobs` (of another distribution than the one sampled) · `truncated_sampling` (top-p, top-k, min-p, a penalty
    or a bias was at work, and the learner's distribution knows none of them).
    """

    name: ClassVar[str] = "triplets"

    level: Literal["trajectory", "transition"] = "trajectory"
    """`trajectory` merges calls on exact token prefixes; `transition` makes a row of each answer."""
    _: KW_ONLY
    agent: str | None = None
    """Keep the calls of this agent only."""
    min_group: int = 2
    """Rollouts of one task, rewarded and not masked, that make a baseline; fewer are dropped."""
    reward: str = "primary"
    """Name of the reward that counts."""
    allow_truncated_sampling: bool = False
    """Keep calls whose sampler cut or bent the distribution, though a learner's logprobs will differ from theirs."""

    def __post_init__(self) -> None:
        if self.level not in {"trajectory", "transition"}:
            raise BadValue("level", self.level, why="it is 'trajectory' or 'transition'")
        if self.min_group < 1:
            raise BadValue("min_group", self.min_group, why="a group has at least one member")

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Row]:
        """Rows in the order of `traces`, then of the calls that began them."""
        members = Counter(trace.task_id for trace in traces if not trace.mask and self._reward(trace) is not None)
        rows: list[Row] = []
        dropped: list[Dropped] = []
        kept = 0
        for trace in traces:
            usable = []
            unfit = self._unfit(trace, members[trace.task_id])
            for recorded in trace.calls:
                if recorded.role != "policy":
                    continue
                reason = self._other(recorded) or unfit or self._unusable(recorded)
                if reason:
                    dropped.append(Dropped(call_id=recorded.call_id, rollout_id=trace.rollout_id, reason=reason))
                else:
                    usable.append(recorded)
            kept += len(usable)
            rows += self._rows(trace, usable)
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=kept)

    def _rows(self, trace: Trace, calls: Sequence[CallRecorded]) -> Iterator[Row]:
        reward = self._reward(trace)
        if reward is None or not calls:
            return
        segments = merge(calls) if self.level == "trajectory" else separate(calls)
        rollout_tokens = sum(len(segment.logprobs) for segment in segments)
        for segment in segments:
            yield _row(trace, segment, reward=reward, rollout_tokens=rollout_tokens)

    def _reward(self, trace: Trace) -> float | None:
        given = (reward.given for reward in reversed(trace.rewards))
        return next((one.value for one in given if one.name == self.reward and one.target.kind == "rollout"), None)

    def _other(self, recorded: CallRecorded) -> str | None:
        return "other_agent" if self.agent is not None and recorded.agent != self.agent else None

    def _unfit(self, trace: Trace, members: int) -> str | None:
        if trace.mask:
            return f"masked:{trace.mask}"
        if self._reward(trace) is None:
            return "no_reward"
        return "group_too_small" if members < self.min_group else None

    def _unusable(self, recorded: CallRecorded) -> str | None:
        call = recorded.call
        if recorded.status != "ok":
            return "call_failed"
        if call.provenance == "absent" or not call.prompt_token_ids:
            return "no_token_ids"
        if call.provenance == "retokenised":
            return "retokenised"
        if any(not choice.token_ids and _spoke(choice.message) for choice in call.choices):
            return "no_token_ids"
        if not any(choice.token_ids for choice in call.choices):
            return "empty"
        if any(len(choice.token_ids) != len(choice.logprobs) for choice in call.choices):
            return "no_logprobs"
        if temperature(recorded) <= 0:
            return "greedy"
        # At temperature 1 the two modes are one.
        if call.logprobs_mode != "processed" and temperature(recorded) != 1:
            return "raw_logprobs"
        return None if self.allow_truncated_sampling or _is_plain(call) else "truncated_sampling"


def _spoke(message: Message) -> bool:
    return bool(message.content or message.tool_calls)


def _is_plain(call: ModelCall) -> bool:
    top_p, top_k = call.sampling.top_p, call.sampling.top_k
    is_whole = (top_p is None or top_p >= 1) and (top_k is None or top_k <= 0)
    bends = (call.extra.get(name) not in {None, neutral} for name, neutral in _RESHAPING.items())
    return is_whole and not call.extra.get("logit_bias") and not any(bends)


def _row(trace: Trace, segment: Segment, *, reward: float, rollout_tokens: int) -> Row:
    return Row(
        rollout_id=trace.rollout_id,
        attempt_id=trace.attempt_id,
        task_id=trace.task_id,
        repeat=trace.repeat,
        token_ids=segment.tokens,
        prompt_length=segment.prompt_length,
        mask=tuple(segment.mask),
        logprobs=tuple(segment.logprobs),
        call_ids=tuple(recorded.call_id for recorded, _ in segment.turns),
        sampled=tuple(len(choice.token_ids) for _, choice in segment.turns),
        policy_versions=tuple(recorded.policy_version for recorded, _ in segment.turns),
        reward=reward,
        temperature=segment.temperature,
        rollout_tokens=rollout_tokens,
        began=segment.began,
        differs_at=segment.differs_at,
    )
