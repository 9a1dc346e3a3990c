"""An attempt out of its spans: each as it came, the model calls among them as calls, the rewards as rewards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from agl_core.events import RewardGiven, SpanRecorded, Target
from agl_core.importing._calls import Called, calls
from agl_core.importing._story import Making
from agl_core.record import Draft
from agl_core.spans import meaning, rewards

__all__ = ["facts"]


def facts(making: Making, spans: Sequence[SpanRecorded]) -> Iterator[Draft]:
    """What spans of one attempt tell, in their order; a call comes with the last span that saw it.

    A reward for a span that saw a call is that call's.
    """
    found = calls(spans)
    by_span = {span.span_id: called for called in found for span in called.spans}
    ids = {called.recorded.call_id: making.call_id(called.recorded.attempt_id, called.name) for called in found}
    for span in spans:
        yield making.draft(span, f"span/{span.attempt_id}/{span.span_id}", at=span.ended_at)
        called = by_span.get(span.span_id)
        if called is not None and called.spans[-1] is span:
            yield _call(making, called, ids)
    given: set[tuple[Target, str, float]] = set()
    for span in spans:
        for reward in rewards.stated(span):
            aimed = _aimed(reward, by_span, ids)
            given.add((aimed.target, aimed.name, aimed.value))
            yield making.draft(aimed, rewards.key(span, reward), at=span.ended_at)
    for span in spans:
        for reward in _scores(span):
            aimed = _aimed(reward, by_span, ids)
            # What was stated is told again, in other words, by who sent it on.
            if (aimed.target, aimed.name, aimed.value) not in given:
                yield making.draft(aimed, rewards.key(span, reward), at=span.ended_at)


def _call(making: Making, called: Called, ids: Mapping[str, str]) -> Draft:
    recorded = called.recorded
    event = replace(recorded, call_id=ids[recorded.call_id], parent_call_id=ids.get(recorded.parent_call_id or ""))
    return making.draft(event, f"call-{event.call_id}", at=recorded.started_at + round(recorded.latency * 1e9))


def _scores(span: SpanRecorded) -> Iterator[RewardGiven]:
    """Evaluations in any other words than Agent Lightning's."""
    told = meaning(span)
    if told.dialect == "agentlightning":
        return
    target = Target(kind="span", id=span.span_id) if span.parent_id else Target(kind="rollout", id=span.rollout_id)
    for score in told.scores:
        yield RewardGiven(
            rollout_id=span.rollout_id,
            attempt_id=span.attempt_id,
            target=target,
            value=score.value,
            name=score.name,
            judge="gen_ai.evaluation",
        )


def _aimed(reward: RewardGiven, by_span: Mapping[str, Called], ids: Mapping[str, str]) -> RewardGiven:
    called = by_span.get(reward.target.id) if reward.target.kind == "span" else None
    if called is None:
        return reward
    return replace(reward, target=Target(kind="call", id=ids[called.recorded.call_id]))
