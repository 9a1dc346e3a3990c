"""The calls of a trace, each with its place in the tree, whose it is, and why it is left out if it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple

from agl_core.adapter import Trace
from agl_core.errors import BadValue
from agl_triplets._hierarchy import Piece, grown, mended
from agl_triplets._matching import Candidate, Matches, RewardMatchPolicy, matched
from agl_triplets._v03_spans import has_ids, response_id

__all__ = ["Found", "Rule", "policy_of"]

_NAMES = {"openai.chat": "openai.chat.completion"}
"""What a span of v0.3's tracer was called, by dialect; others are called as their dialect is."""


class Found(NamedTuple):
    """A call: of the wire, or of a span where the trace has spans only."""

    id: str
    piece: Piece
    agent: str | None
    """Who made it: as it says itself, else the nearest agent around it."""
    reason: str | None
    """Why it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which calls count, and which of them a reward is for: v0.3's settings, under their names."""

    repair_hierarchy: bool
    llm_call_match: str
    agent_match: str | None
    exclude_llm_call_in_reward: bool
    reward_match: RewardMatchPolicy
    reward: str

    @classmethod
    def of(cls, adapter: Any) -> Rule:
        """What an adapter that has these settings was told."""
        return cls(**{field.name: getattr(adapter, field.name) for field in fields(cls)})

    def __post_init__(self) -> None:
        for what, pattern in (("llm_call_match", self.llm_call_match), ("agent_match", self.agent_match)):
            if pattern is not None:
                _compiled(what, pattern)

    def seen(self, trace: Trace) -> tuple[list[Found], Piece]:
        """The trace's calls and its tree: those of the wire in the order they were recorded, others as they began."""
        root = mended(grown(trace)) if self.repair_hierarchy else grown(trace)
        if not _has_wire(trace):
            return list(self._of_spans(root)), root
        numbers = {call.call_id: number for number, call in enumerate(trace.calls)}
        return sorted(self._of_wire(root), key=lambda one: numbers[one.id]), root

    def matches(self, trace: Trace, root: Piece, calls: Sequence[Found]) -> Matches:
        """Which reward each of those calls has."""
        candidates = [
            Candidate(id=one.id, agent=one.agent, piece=one.piece, place=trace.positions.get(one.id, number))
            for number, one in enumerate(calls)
        ]
        return matched(trace, root, candidates, policy=self.reward_match, name=self.reward, mends=self.repair_hierarchy)

    def _of_wire(self, root: Piece) -> Iterator[Found]:
        for piece, agent, is_judged in _inherited(root):
            call = piece.call
            if call is None or call.role != "policy":
                continue
            names = {piece.name, _NAMES.get(call.call.dialect, call.call.dialect)}
            reason = None if any(map(self._is_named, names)) else "other_name"
            yield Found(
                id=call.call_id, piece=piece, agent=agent, reason=reason or self._why_not(agent, is_judged=is_judged)
            )

    def _of_spans(self, root: Piece) -> Iterator[Found]:
        is_named = cache(self._is_named)
        known: set[str] = set()
        for piece, agent, is_judged in _inherited(root):
            span = piece.span
            if span is None or not ((fits := is_named(span.name)) or has_ids(span)):
                continue
            reason = (None if fits else "other_name") or self._why_not(agent, is_judged=is_judged)
            if reason is None and (said := response_id(span)) is not None:
                reason = "duplicate" if said in known else None
                known.add(said)
            yield Found(id=span.span_id, piece=piece, agent=agent, reason=reason)

    def _is_named(self, name: str) -> bool:
        return _compiled("llm_call_match", self.llm_call_match).search(name) is not None

    def _why_not(self, agent: str | None, *, is_judged: bool) -> str | None:
        if self.agent_match is not None:
            pattern = _compiled("agent_match", self.agent_match)
            if agent is None or pattern.search(agent) is None:
                return "other_agent"
        return "in_reward" if is_judged and self.exclude_llm_call_in_reward else None


def policy_of(given: str) -> RewardMatchPolicy:
    """The policy of that name; raises `BadValue` where there is none."""
    try:
        return RewardMatchPolicy(given)
    except ValueError:
        known = " or ".join(repr(policy.value) for policy in RewardMatchPolicy)
        raise BadValue("reward_match", given, why=f"it is {known}") from None


def _inherited(root: Piece) -> Iterator[tuple[Piece, str | None, bool]]:
    """Each piece from the outside in, with the nearest agent, and whether anything around it judges."""
    ahead: list[tuple[Piece, str | None, bool]] = [(root, None, False)]
    while ahead:
        piece, agent, is_judged = ahead.pop()
        agent = piece.agent or agent
        yield piece, agent, is_judged
        if piece.below:
            is_judged = is_judged or piece.is_judging
            ahead += [(one, agent, is_judged) for one in reversed(piece.below)]


def _has_wire(trace: Trace) -> bool:
    """Whether the wire had calls of it, those that a selection has left out too: then no span is one."""
    if trace.calls:
        return True
    others = {span.span_id for span in trace.spans} | {reward.id for reward in trace.rewards}
    return any(id_ not in others for id_ in trace.positions)


@cache
def _compiled(what: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise BadValue(what, pattern, why=f"it is no regular expression ({error})") from None
