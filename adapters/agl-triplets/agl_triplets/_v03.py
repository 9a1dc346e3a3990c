"""v0.3's triplets, under their names: a prompt, a response and a reward for each call, matched by its rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from agl_core.adapter import Adapted, Dropped, Trace, TraceReward, Unmatched
from agl_core.events import CallRecorded, Choice, SpanRecorded
from agl_triplets._matching import RewardMatchPolicy
from agl_triplets._matching_calls import Found, Rule, policy_of
from agl_triplets._v03_sources import traces_of
from agl_triplets._v03_spans import images, response_id, told

__all__ = ["TracerTraceToTriplet", "Triplet", "triplets_of"]

_NOBODY = "*"
"""What v0.3 calls the agent of a call that no named agent made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Triplet:
    """One answer of one call, and what it earned, as v0.3 has it."""

    prompt: dict[str, Any]
    """`token_ids`, `raw_content` (messages), `image_urls`."""
    response: dict[str, Any]
    """`token_ids`, `raw_content` (a list of one answer), and `logprobs` (each a `{"logprob": ...}`) if any."""
    reward: float | None = None
    """None where no reward was matched: that is not zero."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """`request`, `response`, `response_id`, `agent_name`; `choice`, where a call gave several answers."""


@dataclass(frozen=True, slots=True)
class TracerTraceToTriplet:
    """Traces into v0.3's triplets, with rewards matched to calls by a rule: for traces whose rewards name no call.

    A *call* is a call of the wire, in its place in the tree of spans. In a trace of spans only, it is a span that
    `llm_call_match` finds the name of, or that carries token ids. Triplets are in the order calls were recorded; those
    of spans in the order they began, from the outside in. Every call ends in a triplet, or in `dropped` with the first
    of these reasons that holds:

    `other_name` · `other_agent` · `in_reward` · `duplicate` (another span has its response id) · `masked:<status>` ·
    `call_failed` · `no_token_ids` (only with `_skip_empty_token_spans`).
    """

    name: ClassVar[str] = "tracer-triplets"

    repair_hierarchy: bool = True
    """Hang what lies at the root into the tightest piece around it in time."""
    llm_call_match: str = r"openai\.chat\.completion"
    """Searched in the names of spans; a call of the wire is called `openai.chat.completion` when it was one, as its
    dialect otherwise (`anthropic.messages`), and as the span that tells of it."""
    agent_match: str | None = None
    """Searched in the name of the agent that made a call, or is the nearest one around it; None keeps all."""
    exclude_llm_call_in_reward: bool = True
    """Leave out what was asked while judging: below a reward, an evaluator or a judge's call."""
    reward_match: RewardMatchPolicy = RewardMatchPolicy.FIRST_OCCURRENCE
    _skip_empty_token_spans: bool = False
    """Leave out calls without token ids."""
    _: KW_ONLY
    reward: str = "primary"
    """Name of the rewards that are matched."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reward_match", policy_of(self.reward_match))
        Rule.of(self)  # a pattern that is none is refused here

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Triplet]:
        """Triplets in the order of `traces`, then of the calls."""
        rule = Rule.of(self)
        rows: list[Triplet] = []
        dropped: list[Dropped] = []
        unmatched: list[Unmatched] = []
        kept = 0
        for trace in traces:
            found, root = rule.seen(trace)
            usable = []
            for one in found:
                reason = one.reason or self._unfit(trace, one)
                if reason:
                    dropped.append(Dropped(call_id=one.id, rollout_id=trace.rollout_id, reason=reason))
                else:
                    usable.append(one)
            kept += len(usable)
            if trace.mask:
                continue
            matches = rule.matches(trace, root, usable)
            unmatched += matches.unmatched
            for one in usable:
                rows += triplets_of(one, matches.by_call.get(one.id))
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=kept, unmatched=tuple(unmatched))

    def adapt(self, source: Iterable[Any], /) -> list[Triplet]:
        """v0.3's way: the triplets of one trace's spans, or of traces; of nothing, none."""
        return list(self(traces_of(source)).rows)

    def _unfit(self, trace: Trace, found: Found) -> str | None:
        if trace.mask:
            return f"masked:{trace.mask}"
        call, span = found.piece.call, found.piece.span
        if (call is not None and call.status != "ok") or (call is None and span is not None and span.status == "error"):
            return "call_failed"
        return "no_token_ids" if self._skip_empty_token_spans and not _has_tokens(call, span) else None


def triplets_of(found: Found, reward: TraceReward | None) -> Iterator[Triplet]:
    """One for each answer of a call of the wire, and one for a call that gave none; one for a span's."""
    value = None if reward is None else reward.given.value
    agent = found.agent or _NOBODY
    if found.piece.call is not None:
        yield from _of_call(found.piece.call, value, agent)
    elif found.piece.span is not None:
        yield _of_span(found.piece.span, value, agent)


def _of_span(span: SpanRecorded, reward: float | None, agent: str) -> Triplet:
    said = told(span)
    response: dict[str, Any] = {"token_ids": said.sampled, "raw_content": said.answered}
    if said.logprobs is not None:
        response["logprobs"] = said.logprobs
    return Triplet(
        prompt={"token_ids": said.prompt, "raw_content": said.asked, "image_urls": images(said.asked)},
        response=response,
        reward=reward,
        metadata={
            "request": said.request,
            "response": said.response,
            "response_id": response_id(span),
            "agent_name": agent,
        },
    )


def _of_call(recorded: CallRecorded, reward: float | None, agent: str) -> Iterator[Triplet]:
    # Here, because it is not for every batch, and adapters are imported whenever plugins are.
    from agl_core.wire import openai_chat

    call = recorded.call
    request = openai_chat.render_request(call)
    answered = openai_chat.render_response(call)
    messages = request.pop("messages", [])
    answers = answered.pop("choices", [])
    prompt = {"token_ids": list(call.prompt_token_ids), "raw_content": messages, "image_urls": images(messages)}
    metadata = {"request": request, "response": answered, "response_id": call.response_id, "agent_name": agent}
    for index, choice in enumerate(call.choices):
        told_choice = {} if len(call.choices) == 1 else {"choice": index}
        yield Triplet(
            prompt=prompt,
            response=_response(choice, answers[index] if index < len(answers) else {}),
            reward=reward,
            metadata={**metadata, **told_choice},
        )
    if not call.choices:
        yield Triplet(prompt=prompt, response={"token_ids": [], "raw_content": []}, reward=reward, metadata=metadata)


def _response(choice: Choice, answer: dict[str, Any]) -> dict[str, Any]:
    said = {**answer.get("message", {}), "finish_reason": choice.finish_reason}
    response: dict[str, Any] = {"token_ids": list(choice.token_ids), "raw_content": [said]}
    if choice.logprobs:
        pairs = zip(choice.token_ids, choice.logprobs, strict=False)
        response["logprobs"] = [{"token_id": id_, "logprob": logprob} for id_, logprob in pairs]
    return response


def _has_tokens(call: CallRecorded | None, span: SpanRecorded | None) -> bool:
    if call is not None:
        return bool(call.call.prompt_token_ids) and any(choice.token_ids for choice in call.call.choices)
    said = told(span) if span is not None else None
    return said is not None and bool(said.prompt and said.sampled)
