"""Commands that keep what attempts leave: rewards and spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agl_core.errors import BadValue, UnknownId
from agl_core.events import RewardGiven, RewardWithdrawn, SpanRecorded, Target
from agl_core.log import View
from agl_core.record import Draft, Record
from agl_core.spans import from_otel
from agl_core.store import _adding as adding
from agl_core.store import _decisions as decide
from agl_core.store._base import Base
from agl_core.store._pages import FilterLogic, Page, PaginatedResult, SortOrder
from agl_core.store._rows import SPANS
from agl_core.store._span import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["Capturing"]


class Capturing(Base):
    """Facts about attempts. What comes late, or for what was cancelled or deleted, is kept and never counts."""

    async def add_reward(
        self,
        rollout_id: str,
        value: float,
        *,
        attempt_id: str | None = None,
        name: str = "primary",
        judge: str = "agent",
        target: Target | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Record:
        """Put a number on a rollout, or on what `target` names, whenever it is known: days later, too.

        Without an `attempt_id` it is of the attempt that counts, whichever that is. `withdraw_reward` takes the
        record's `id`. A call that it names is one of the rollout, in the log or under way; else it is `UnknownId`. A
        span may be on its way from another program still, and an agent yet to speak: where none comes by that name,
        the reward stays, is of nothing that is trained on, and every batch says so.
        """
        event = RewardGiven(
            rollout_id=rollout_id,
            attempt_id=attempt_id,
            target=target or Target(kind="rollout", id=rollout_id),
            value=_number(value),
            name=name,
            judge=judge,
            evidence=evidence or {},
        )
        _check_words(event)

        def given(view: View) -> list[Draft]:
            rollout = decide.find(view, rollout_id, attempt_id)
            _check_target(view, rollout_id, event.target)
            return [rollout.draft(event)]

        return (await self._decided(given))[0]

    async def withdraw_reward(self, rollout_id: str, reward_id: str, why: str) -> Record | None:
        """Let a reward count no more; it stays in the log, with the reason. None when it was withdrawn before."""

        def withdrawn(view: View) -> list[Draft]:
            rollout = decide.find(view, rollout_id)
            found = view.rows("select withdrawn from rewards where id = ? and rollout_id = ?", (reward_id, rollout_id))
            if not found:
                raise UnknownId("reward", reward_id)
            event = RewardWithdrawn(rollout_id=rollout_id, reward=reward_id, why=why)
            return [] if found[0][0] else [rollout.draft(event)]

        return next(iter(await self._decided(withdrawn)), None)

    # --- spans

    async def add_span(self, span: Span | SpanRecorded) -> Span | None:
        """Keep a span of a known attempt; None when its rollout, attempt and span id were there before."""
        return next(iter(await self.add_many_spans([span])), None)

    async def add_many_spans(self, spans: Sequence[Span | SpanRecorded]) -> Sequence[Span]:
        """Keep them all, in one transaction, or none; those that are new come back with their numbers."""
        events = [span.recorded() if isinstance(span, Span) else span for span in spans]
        records = await self._decided(lambda view: adding.added(view, events, self._leases.owner))
        kept = (record.event for record in records)
        return [Span.of(event, event.sequence_id or 0) for event in kept if isinstance(event, SpanRecorded)]

    async def add_otel_span(
        self, rollout_id: str, attempt_id: str, readable_span: ReadableSpan, sequence_id: int | None = None
    ) -> Span | None:
        """Keep a span of OpenTelemetry, its attributes as they came; None when it was there before."""
        return await self.add_span(
            from_otel(readable_span, rollout_id=rollout_id, attempt_id=attempt_id, sequence_id=sequence_id)
        )

    async def get_next_span_sequence_id(self, rollout_id: str, attempt_id: str) -> int:
        """The next number for a span of the rollout, shared by its attempts; no other caller gets it, ever."""
        return (await self.get_many_span_sequence_ids([(rollout_id, attempt_id)]))[0]

    async def get_many_span_sequence_ids(self, rollout_attempt_ids: Sequence[tuple[str, str]]) -> Sequence[int]:
        """A number for each pair of rollout and attempt, in their order, in one transaction."""
        numbers: list[int] = []

        def numbered(view: View) -> list[Draft]:
            numbers[:] = adding.numbered(view, rollout_attempt_ids, self._leases.owner)
            return []

        await self._decided(numbered)
        return numbers

    async def query_spans(
        self,
        rollout_id: str,
        attempt_id: str | None = None,
        *,
        trace_id: str | None = None,
        trace_id_contains: str | None = None,
        span_id: str | None = None,
        span_id_contains: str | None = None,
        parent_id: str | None = None,
        parent_id_contains: str | None = None,
        name: str | None = None,
        name_contains: str | None = None,
        filter_logic: FilterLogic = "and",
        limit: int = -1,
        offset: int = 0,
        sort_by: str | None = "sequence_id",
        sort_order: SortOrder = "asc",
        at: int | None = None,
    ) -> PaginatedResult[Span]:
        """Spans of a rollout, of one attempt, or of the `"latest"`; `filter_logic` joins the filters only."""
        page = Page(columns=SPANS, sort_by=sort_by, sort_order=sort_order, limit=limit, offset=offset)
        ask = await self._then(at, f"rollout/{rollout_id}")
        latest = ask.latest_attempt(rollout_id)
        if attempt_id == "latest":
            attempt_id = latest or ""  # none yet: then there are no spans either
        elif attempt_id is not None:
            ask.attempt(rollout_id, attempt_id)
        exact = {"trace_id": trace_id, "span_id": span_id, "parent_id": parent_id, "name": name}
        part = {
            "trace_id": trace_id_contains,
            "span_id": span_id_contains,
            "parent_id": parent_id_contains,
            "name": name_contains,
        }
        filters: list[tuple[str, Any]] = [(f"{column} = ?", value) for column, value in exact.items()]
        filters += [(f"instr({column}, ?) > 0", value) for column, value in part.items()]
        return ask.spans(rollout_id, attempt_id, filters, filter_logic, page)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise BadValue("reward", value, why="a reward is a finite number") from None


def _check_words(event: RewardGiven) -> None:
    if not isinstance(event.target, Target):
        raise BadValue("target", event.target, why="it is a Target, such as agl.Target(kind='call', id=...)")
    for what, word in (("name", event.name), ("judge", event.judge)):
        if not word:
            raise BadValue(what, word, why="it is a word: who asks for the reward says it again")


def _check_target(view: View, rollout_id: str, target: Target) -> None:
    if target.kind == "rollout" and target.id != rollout_id:
        raise BadValue(
            "target", target.id, why=f"that is another rollout than {rollout_id}: give it a reward of its own"
        )
    if target.kind == "call" and not _has_call(view, rollout_id, target.id):
        raise UnknownId("call", target.id)


def _has_call(view: View, rollout_id: str, call_id: str) -> bool:
    if view.rows("select 1 from calls where rollout_id = ? and call_id = ?", (rollout_id, call_id)):
        return True
    flight = view.in_flight.get("call", call_id)
    return flight is not None and flight.data["rollout_id"] == rollout_id
