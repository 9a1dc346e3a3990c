"""All conversations of a batch as transcripts, and why other calls are in none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal, TypeVar

from agl_core.adapter import Adapted, Adapter, Credit, Dropped, Earned, Trace, Unmatched
from agl_core.errors import BadValue
from agl_core.events import CallRecorded, Message
from agl_messages._conversations import Conversation, History, merge, separate
from agl_messages._row import Transcript
from agl_messages._words import has_words

__all__ = ["Gathered", "Gathering", "Level"]

Row = TypeVar("Row")
Level = Literal["trajectory", "call"]
_UNSPOKEN = frozenset({"openai.completions", "openai.embeddings"})
"""Dialects whose messages are prompts, and nobody's turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a batch has to offer."""

    transcripts: Sequence[Transcript]
    dropped: Sequence[Dropped] = ()
    unmatched: Sequence[Unmatched] = ()

    def adapted(self, rows: Sequence[Row], reasons: Sequence[str | None]) -> Adapted[Row]:
        """Rows made of the transcripts that have no reason to be left out; the calls of the others are dropped."""
        settled = list(zip(self.transcripts, reasons, strict=True))
        kept = {call_id for transcript, reason in settled if reason is None for call_id in transcript.call_ids}
        # A call of several answers is in several transcripts: it is kept with one of them.
        lost = {
            call_id: Dropped(call_id=call_id, rollout_id=transcript.rollout_id, reason=reason)
            for transcript, reason in reversed(settled)
            if reason is not None
            for call_id in reversed(transcript.call_ids)
            if call_id not in kept
        }
        dropped = (*self.dropped, *reversed(lost.values()))
        return Adapted(rows=tuple(rows), dropped=dropped, kept=len(kept), unmatched=self.unmatched)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """How to gather: what both adapters are told alike."""

    level: Level
    agent: str | None
    succeeded: bool
    reward: str
    credit: Adapter[Credit] | None

    def __post_init__(self) -> None:
        if self.level not in {"trajectory", "call"}:
            raise BadValue("level", self.level, why="it is 'trajectory' or 'call'")
        if self.credit is not None and not callable(self.credit):
            raise BadValue("credit", self.credit, why="it is an adapter, or its options with its name: {'name': ...}")

    def of(self, traces: Sequence[Trace]) -> Gathered:
        """Transcripts in the order of `traces`, then of the calls that began them."""
        earned = Earned.by(self.credit, traces) if self.credit is not None else None
        transcripts: list[Transcript] = []
        dropped: list[Dropped] = []
        for trace in traces:
            usable: list[tuple[CallRecorded, tuple[Message, ...]]] = []
            for recorded, asked in _asked(trace):
                reason = self._unfit(trace, recorded) or _unusable(recorded, asked)
                if reason is None and earned is not None:
                    reason = earned.why_not(recorded.call_id)
                if reason is None:
                    usable.append((recorded, asked or ()))
                else:
                    dropped.append(Dropped(call_id=recorded.call_id, rollout_id=trace.rollout_id, reason=reason))
            for conversation in merge(usable) if self.level == "trajectory" else separate(usable):
                reward = trace.earned(self.reward) if earned is None else _mean(conversation, earned)
                transcripts.append(_transcript(trace, conversation, reward))
        unmatched = earned.unmatched if earned is not None else ()
        return Gathered(transcripts=transcripts, dropped=dropped, unmatched=unmatched)

    def _unfit(self, trace: Trace, recorded: CallRecorded) -> str | None:
        if self.agent is not None and recorded.agent != self.agent:
            return "other_agent"
        if trace.mask:
            return f"masked:{trace.mask}"
        return "not_succeeded" if self.succeeded and trace.status != "succeeded" else None


def _asked(trace: Trace) -> Iterator[tuple[CallRecorded, tuple[Message, ...] | None]]:
    history = History()
    for recorded in trace.calls:
        asked = history.asked(recorded)  # of a judge's too: what it was told may be gone on with
        if recorded.role == "policy":
            yield recorded, asked


def _unusable(recorded: CallRecorded, asked: tuple[Message, ...] | None) -> str | None:
    call = recorded.call
    if recorded.status != "ok":
        return "call_failed"
    if call.dialect in _UNSPOKEN or not call.messages:
        return "no_chat"
    if asked is None:
        return "history_elsewhere"
    return None if any(has_words(choice.message) for choice in call.choices) else "empty"


def _mean(conversation: Conversation, earned: Earned) -> float:
    values = [earned.by_call[recorded.call_id] for recorded in conversation.calls]
    # What all of them earned alike is that very number, and not one that a division made of it.
    return values[0] if len(set(values)) == 1 else fsum(values) / len(values)


def _transcript(trace: Trace, conversation: Conversation, reward: float | None) -> Transcript:
    first = conversation.calls[0].call
    parallel = first.extra.get("parallel_tool_calls")
    return Transcript(
        rollout_id=trace.rollout_id,
        attempt_id=trace.attempt_id,
        task_id=trace.task_id,
        run_id=trace.run_id,
        repeat=trace.repeat,
        agent=conversation.agent,
        messages=tuple(conversation.messages),
        trained=tuple(conversation.trained),
        tools=first.tools,
        parallel_tool_calls=parallel if isinstance(parallel, bool) else None,
        call_ids=tuple(recorded.call_id for recorded in conversation.calls),
        reward=reward,
        began=conversation.began,
    )
