"""What came over OTLP, written: each span once, with its attempt or apart, all of a request in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agl_core.errors import AglError, CodecError
from agl_core.events import RewardGiven, SpanRecorded, SpanUnassigned, Target
from agl_core.gateway._attribution import Attribution, Place, Stray
from agl_core.gateway._ports import Facts
from agl_core.ids import canonical, digest
from agl_core.log import Decide, Owner, View
from agl_core.record import Draft
from agl_core.spans.otlp import Sent, SentLog, SentSpan
from agl_core.store import spans_taken_in

__all__ = ["Batch", "Intake", "logs", "traces"]

_AGENT, _SEQUENCE = "agl.agent.name", "agentlightning.span_sequence_id"
_EVALUATION = "gen_ai.evaluation"
_ACTOR = "agl-core otlp"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """What a request holds, put down to whom it belongs."""

    spans: list[SpanRecorded] = field(default_factory=list)
    strays: list[SpanUnassigned] = field(default_factory=list)
    rewards: list[Draft] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    """Why each of the others cannot be kept."""
    lost: set[str] = field(default_factory=set)
    """Attempts whose lease is lost: what came of them is kept, and never counts."""

    def parts(self) -> list[Batch]:
        """Each thing in it alone."""
        return [
            *(Batch(spans=[span]) for span in self.spans),
            *(Batch(strays=[stray]) for stray in self.strays),
            *(Batch(rewards=[reward]) for reward in self.rewards),
        ]


def traces(sent: Sent[SentSpan], whose: Attribution) -> Batch:
    """Spans, each with its attempt; those that are nobody's apart."""
    batch = Batch(rejected=list(sent.rejected))
    for span in sent.items:
        place = whose.of(span.attributes, span.resource, span.trace_id)
        if isinstance(place, Stray):
            batch.strays.append(span.unassigned(place.why))
            continue
        said = {**span.resource, **span.attributes}
        sequence = said.get(_SEQUENCE)
        # The attempt's own id is that of no span: what hangs from it stands at the top.
        rooted = replace(span, parent_id=None) if span.parent_id == place.root else span
        batch.spans.append(
            rooted.recorded(
                rollout_id=place.rollout_id,
                attempt_id=place.attempt_id,
                agent=agent if isinstance(agent := said.get(_AGENT), str) and agent else None,
                sequence_id=sequence if type(sequence) is int and 0 <= sequence < 1 << 62 else None,
            )
        )
        if place.is_lost:
            batch.lost.add(place.attempt_id)
    return batch


def logs(sent: Sent[SentLog], whose: Attribution) -> Batch:
    """Evaluations, as rewards; no other record of a log has a place here."""
    batch = Batch(rejected=list(sent.rejected))
    for record in sent.items:
        if (record.event_name or record.attributes.get("event.name")) != f"{_EVALUATION}.result":
            batch.rejected.append(f"{record.event_name or 'a log record'}: only {_EVALUATION}.result is kept")
            continue
        place = whose.of(record.attributes, record.resource, record.trace_id)
        if isinstance(place, Stray):
            batch.rejected.append(place.why)
            continue
        try:
            batch.rewards.append(_reward(record, place, whose))
        except (AglError, ValueError) as error:
            batch.rejected.append(str(error))
        if place.is_lost:
            batch.lost.add(place.attempt_id)
    return batch


def _reward(record: SentLog, place: Place, whose: Attribution) -> Draft:
    said = record.attributes
    name, value = said.get(f"{_EVALUATION}.name"), said.get(f"{_EVALUATION}.score.value")
    if not isinstance(name, str) or not name or isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_EVALUATION}.result needs {_EVALUATION}.name and a number in {_EVALUATION}.score.value")
    event = RewardGiven(
        rollout_id=place.rollout_id,
        attempt_id=place.attempt_id,
        target=_target(record, place, whose),
        value=float(value),
        name=name,
        judge="gen_ai.evaluation",
        evidence={key: one for key, one in said.items() if key != f"{_EVALUATION}.score.value"},
    )
    # A log record has no id of its own: the same words at the same nanosecond are the same record.
    words = digest(canonical([record.trace_id, record.span_id, record.at, said]))
    return _draft(event, place, f"evaluation/{place.attempt_id}/{words}")


def _target(record: SentLog, place: Place, whose: Attribution) -> Target:
    """The call that was answered with the response it names, else the span it was written in, else the rollout."""
    response_id = record.attributes.get("gen_ai.response.id")
    if isinstance(response_id, str) and (call_id := whose.call_of(place, response_id)):
        return Target(kind="call", id=call_id)
    if record.span_id is not None and record.span_id != place.root:
        return Target(kind="span", id=record.span_id)
    return Target(kind="rollout", id=place.rollout_id)


def _draft(event: RewardGiven, place: Place, key: str) -> Draft:
    return Draft(
        stream=f"rollout/{place.rollout_id}",
        event=event,
        key=key,
        correlation_id=place.run_id or place.rollout_id,
        actor=_ACTOR,
    )


class Intake:
    """Writes batches. What came before is not written again, whoever sends it, and whenever."""

    def __init__(self, facts: Facts) -> None:
        self._facts, self._owner = facts, Owner.me()
        self._has_told = False

    async def keep(self, batch: Batch) -> None:
        """All of it, in one transaction; what the log cannot take becomes rejected, and costs the rest nothing."""
        if batch.strays and not self._has_told:
            self._has_told = True
            _log.warning(
                "a span came over OTLP that is no attempt's (%s): such spans are kept in the stream `log`, "
                "as `span.unassigned`",
                batch.strays[0].why,
            )
        try:
            await self._write(batch)
        except CodecError:
            for part in batch.parts():
                try:
                    await self._write(part)
                except CodecError as error:
                    batch.rejected.append(str(error))

    async def _write(self, batch: Batch) -> None:
        if batch.spans or batch.strays or batch.rewards:
            await asyncio.wrap_future(self._facts.submit(self._decided(batch)))

    def _decided(self, batch: Batch) -> Decide:
        def decide(view: View) -> Sequence[Draft]:
            spans = spans_taken_in(view, batch.spans, batch.strays, self._owner)
            return [*(replace(draft, actor=_ACTOR) for draft in spans), *_new(view, batch.rewards)]

        return decide


def _new(view: View, drafts: Iterable[Draft]) -> list[Draft]:
    """Those whose key the log has not seen; the first, where a key is there twice."""
    fresh: dict[Any, Draft] = {}
    for draft in drafts:
        if draft.key not in fresh and not view.rows("select 1 from events where key = ?", (draft.key,)):
            fresh[draft.key] = draft
    return list(fresh.values())
