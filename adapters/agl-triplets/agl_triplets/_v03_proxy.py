"""v0.3's triplets of what went through a proxy: matched in the order of the log, or of spans' numbers, by no clock."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import accumulate
from typing import Any, ClassVar

from agl_core.adapter import Adapted, Dropped, Trace, TraceReward, Unmatched
from agl_core.events import CallRecorded, SpanRecorded
from agl_triplets._hierarchy import Piece
from agl_triplets._matching import Candidate, RewardMatchPolicy, matched
from agl_triplets._v03 import Triplet
from agl_triplets._v03_sources import traces_of
from agl_triplets._v03_spans import proxied

__all__ = ["LlmProxyTraceToTriplet"]

_RAW = "raw_gen_ai_request"
_LAST = sys.maxsize


@dataclass(frozen=True, slots=True)
class LlmProxyTraceToTriplet:
    """Traces into triplets of token ids alone; a reward is for the most recent call without one that came before it.

    Before it in the log, where the calls are of the wire. In a trace of spans only, calls are the spans that v0.3's
    proxy wrote, and before means a smaller number among the rollout's spans. Every call ends in a triplet, or in
    `dropped` with the first of these reasons: `masked:<status>` · `call_failed` · `no_token_ids` · `duplicate`.
    """

    name: ClassVar[str] = "llm-proxy-triplets"

    _: KW_ONLY
    reward: str = "primary"
    """Name of the rewards that are matched."""

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Triplet]:
        """Triplets in the order of `traces`, then of the calls."""
        rows: list[Triplet] = []
        dropped: list[Dropped] = []
        unmatched: list[Unmatched] = []
        kept = 0
        for trace in traces:
            found = list(_of_wire(trace) if trace.calls else _of_spans(trace))
            reasons = {one.id: (f"masked:{trace.mask}" if trace.mask else one.reason) for one in found}
            dropped += [
                Dropped(call_id=id_, rollout_id=trace.rollout_id, reason=reason)
                for id_, reason in reasons.items()
                if reason
            ]
            usable = [one for one in found if reasons[one.id] is None]
            kept += len(usable)
            if trace.mask:
                continue
            by_call, left = _matched(trace, usable, self.reward)
            unmatched += left
            for one in usable:
                reward = by_call[one.id].given.value if one.id in by_call else None
                rows += [replace(triplet, reward=reward) for triplet in one.triplets]
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=kept, unmatched=tuple(unmatched))

    def adapt(self, source: Iterable[Any], /) -> list[Triplet]:
        """v0.3's way: the triplets of one trace's spans, or of traces; of nothing, none."""
        return list(self(traces_of(source)).rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    id: str
    agent: str | None
    number: int
    """Its place: in the log, or among the spans."""
    reason: str | None
    triplets: tuple[Triplet, ...]


def _matched(trace: Trace, calls: Sequence[_Call], name: str) -> tuple[Mapping[str, TraceReward], Sequence[Unmatched]]:
    """By the rule for traces with a clock, where numbers are the clock, and there is no tree."""
    root = Piece("", "", 0, 0)
    pieces = {one.id: _piece(one.id, one.number, root) for one in calls}
    if not trace.calls:
        numbers = _numbers(trace)
        for span in trace.spans:
            pieces.setdefault(span.span_id, _piece(span.span_id, numbers[span.span_id], root))
        trace = replace(trace, rewards=tuple(_at_their_numbers(trace, numbers)))
    root.below = list(pieces.values())
    candidates = [Candidate(id=one.id, agent=one.agent, piece=pieces[one.id], place=one.number) for one in calls]
    found = matched(trace, root, candidates, policy=RewardMatchPolicy.FIRST_OCCURRENCE, name=name, mends=False)
    return found.by_call, found.unmatched


def _piece(id_: str, number: int, root: Piece) -> Piece:
    # Twice the number, and one more: what has the same number has neither come before nor after.
    return Piece(id_, "", 2 * number, 2 * number + 1, above=root)


def _at_their_numbers(trace: Trace, numbers: Mapping[str, int]) -> Iterator[TraceReward]:
    """One that no span stated comes right after the spans that stand before it in the log; out of no log, last."""
    in_order = sorted((trace.positions.get(id_, 0), number) for id_, number in numbers.items())
    places = [place for place, _ in in_order]
    highest = [-1, *accumulate((number for _, number in in_order), max)]
    for reward in trace.rewards:
        before = bisect_left(places, trace.positions.get(reward.id or "", _LAST))
        yield replace(reward, given_at=2 * highest[before] + 1)


def _numbers(trace: Trace) -> dict[str, int]:
    """Of spans: those the store gave them; the order they are in, where one has none."""
    if any(span.sequence_id is None for span in trace.spans):
        return {span.span_id: number for number, span in enumerate(trace.spans)}
    return {span.span_id: span.sequence_id or 0 for span in trace.spans}


def _of_wire(trace: Trace) -> Iterator[_Call]:
    for number, recorded in enumerate(trace.calls):
        if recorded.role == "policy":
            yield _Call(
                id=recorded.call_id,
                agent=recorded.agent,
                number=trace.positions.get(recorded.call_id, number),
                reason=_why_not(recorded),
                triplets=tuple(_answers(recorded)),
            )


def _why_not(recorded: CallRecorded) -> str | None:
    if recorded.status != "ok":
        return "call_failed"
    has_ids = recorded.call.prompt_token_ids and any(choice.token_ids for choice in recorded.call.choices)
    return None if has_ids else "no_token_ids"


def _answers(recorded: CallRecorded) -> Iterator[Triplet]:
    call = recorded.call
    for index, choice in enumerate(call.choices):
        several = {} if len(call.choices) == 1 else {"choice": index}
        yield _triplet(list(call.prompt_token_ids), list(choice.token_ids), call.response_id, several)


def _of_spans(trace: Trace) -> Iterator[_Call]:
    numbers = _numbers(trace)
    known: set[str] = set()
    for span in sorted(trace.spans, key=lambda span: (numbers[span.span_id], span.started_at)):
        prompt, sampled, request_id = proxied(span)
        has_ids = bool(prompt and sampled)
        if not has_ids and span.name != _RAW:
            continue  # what the proxy writes around a request has ids only sometimes
        reason = _why_not_span(span, has_ids=has_ids)
        if reason is None and request_id is not None:
            reason = "duplicate" if request_id in known else None
            known.add(request_id)
        yield _Call(
            id=span.span_id,
            agent=span.agent,
            number=numbers[span.span_id],
            reason=reason,
            triplets=(_triplet(prompt, sampled, request_id, {}),),
        )


def _why_not_span(span: SpanRecorded, *, has_ids: bool) -> str | None:
    if span.status == "error":
        return "call_failed"
    return None if has_ids else "no_token_ids"


def _triplet(prompt: list[int], sampled: list[int], response_id: str | None, beside: dict[str, Any]) -> Triplet:
    return Triplet(
        prompt={"token_ids": prompt}, response={"token_ids": sampled}, metadata={"response_id": response_id, **beside}
    )
