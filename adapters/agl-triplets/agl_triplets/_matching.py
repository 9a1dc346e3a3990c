"""Which call a reward is for, where the reward does not say: the rules of v0.3, in an order that is the log's."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from heapq import heappop, heappush
from operator import itemgetter
from typing import NamedTuple

from agl_core.adapter import Trace, TraceReward, Unmatched
from agl_core.events import Target
from agl_triplets._hierarchy import Piece, around, walk

__all__ = ["Candidate", "Matches", "RewardMatchPolicy", "matched"]


class RewardMatchPolicy(StrEnum):
    """Which call a reward is for that names none."""

    FIRST_OCCURRENCE = "first_occurrence"
    """The most recent call without a reward that had ended when the reward was given."""
    FIRST_SIBLING = "first_sibling"
    """The same, among the calls that hang beside the reward, in one piece with it."""


class Candidate(NamedTuple):
    """A call that a reward may be for."""

    id: str
    agent: str | None
    """Who made it."""
    piece: Piece
    place: int
    """Its position in the log; out of no log, its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """What a trace's rewards were for."""

    by_call: Mapping[str, TraceReward]
    unmatched: Sequence[Unmatched]


def matched(
    trace: Trace, root: Piece, calls: Sequence[Candidate], *, policy: RewardMatchPolicy, name: str, mends: bool
) -> Matches:
    """At most one reward for each call, and each reward of that name for at most one call.

    A reward that names its call is for that call, the last one given if there are several. One that names a span, or an
    agent, is for the calls in it by the same rule as a reward of the rollout is for any call, and before it.

    *When*: a reward that is a fact of its own comes after the calls of the wire that stand before it in the log, and
    the last of them is the most recent: no clock is looked at. A reward that a span stated, and calls that only spans
    tell of, are compared by the clock of their tracer: the reward comes after the calls that had ended when its span
    began, and the one that began last is the most recent. Rewards are given out in that order too. Out of no log, a
    reward comes after all calls, in their order.
    """
    given = [reward for reward in trace.rewards if reward.given.name == name]
    if not given:
        return Matches(by_call={}, unmatched=())
    return _Matching(trace, root, calls, policy, mends=mends).of(given)


class _Matching:
    def __init__(
        self, trace: Trace, root: Piece, calls: Sequence[Candidate], policy: RewardMatchPolicy, *, mends: bool
    ) -> None:
        self._trace, self._root, self._calls = trace, root, calls
        self._policy, self._mends = policy, mends
        self._pieces = {piece.id: piece for piece in walk(root)}
        self._of_piece = {id(call.piece): call for call in calls}
        self._known = {call.id for call in calls}
        self._moments: dict[int, int | None] = {}
        """By `id()` of a reward: when it was given by the clock of spans; null where its place in the log counts."""
        self._by_call: dict[str, TraceReward] = {}
        self._unmatched: list[Unmatched] = []

    def of(self, given: Sequence[TraceReward]) -> Matches:
        self._moments = {id(reward): self._moment(reward) for reward in given}
        in_turn = self._in_turn(given)
        targets: dict[Target, list[TraceReward]] = defaultdict(list)
        for reward in in_turn:
            if reward.given.target.kind != "rollout":
                targets[self._target(reward)].append(reward)
        for target in sorted(targets, key=lambda target: _NEAREST_FIRST.index(target.kind)):
            self._give(target, targets[target])
        self._match([reward for reward in in_turn if reward.given.target.kind == "rollout"])
        return Matches(by_call=self._by_call, unmatched=tuple(self._unmatched))

    def _target(self, reward: TraceReward) -> Target:
        """What it names: the call, where that is the span which tells of it."""
        target = reward.given.target
        if target.kind != "span":
            return target
        piece = self._pieces.get(target.id) or self._named.get(reward.id)
        call = self._of_piece.get(id(piece))
        if call is not None:
            return Target(kind="call", id=call.id)
        return target if piece is None or piece.call is None else Target(kind="call", id=piece.id)

    @cached_property
    def _named(self) -> Mapping[str | None, Piece]:
        """What rewards name, as the tree has it."""
        pieces = (piece for piece in walk(self._root) if piece is not self._root)
        return {reward: piece for piece in pieces for reward in piece.earned}

    def _in_turn(self, given: Sequence[TraceReward]) -> list[TraceReward]:
        """In the order of the log; among themselves, those that go by a clock in its order."""
        timed = [(moment, reward) for reward in given if (moment := self._moments[id(reward)]) is not None]
        in_order = (reward for _, reward in sorted(timed, key=itemgetter(0)))
        return [reward if self._moments[id(reward)] is None else next(in_order) for reward in given]

    def _moment(self, reward: TraceReward) -> int | None:
        span = self._stating(reward)
        if span is not None:
            return span.started_at
        return None if self._trace.calls else reward.given_at

    def _stating(self, reward: TraceReward) -> Piece | None:
        return self._pieces.get(reward.span_id) if reward.span_id else None

    def _give(self, target: Target, rewards: Sequence[TraceReward]) -> None:
        piece = self._pieces.get(target.id)
        match target.kind:
            case "call":
                self._name(rewards, target.id)
            case "span" if piece is None:
                self._leave(rewards, "unknown_target")
            case "span" if piece is not None:
                inside = (self._of_piece.get(id(one)) for one in walk(piece))
                self._spread(rewards, [call for call in inside if call is not None])
            case _:
                self._spread(rewards, [call for call in self._calls if call.agent == target.id])

    def _name(self, rewards: Sequence[TraceReward], call_id: str) -> None:
        if call_id not in self._known:
            self._leave(rewards, "call_dropped" if call_id in self._captured else "unknown_target")
            return
        self._leave(rewards[:-1], "superseded")
        self._by_call[call_id] = rewards[-1]

    @cached_property
    def _captured(self) -> Container[str]:
        return {call.call_id for call in self._trace.calls}

    def _match(self, rewards: Sequence[TraceReward]) -> None:
        """Those that name nothing in the rollout."""
        if self._policy is RewardMatchPolicy.FIRST_OCCURRENCE:
            self._spread(rewards, self._calls)
            return
        calls: dict[int, list[Candidate]] = defaultdict(list)
        for call in self._calls:
            calls[id(call.piece.above)].append(call)
        beside: dict[int, list[TraceReward]] = defaultdict(list)
        for reward, home in zip(rewards, self._homes(rewards), strict=True):
            beside[id(home)].append(reward)
        for where, together in beside.items():
            self._spread(together, calls.get(where, ()))

    def _homes(self, rewards: Sequence[TraceReward]) -> list[Piece]:
        """Where each was given: beside the span that stated it, else in the tightest piece around the moment."""
        spans = [self._stating(reward) for reward in rewards]
        times = [reward.given_at for reward in rewards]
        wide = [self._root for _ in rewards]
        if self._mends and None not in times:
            wide = around(self._root, [time for time in times if time is not None])
        return [
            span.above if span is not None and span.above else there for span, there in zip(spans, wide, strict=True)
        ]

    def _spread(self, rewards: Sequence[TraceReward], calls: Sequence[Candidate]) -> None:
        free = [call for call in calls if call.id not in self._by_call]
        by_clock = _Recent(free, ended=_ended, began=_began)
        by_place = _Recent(free, ended=_place, began=_place)
        for reward in rewards:
            moment = self._moments[id(reward)]
            if moment is not None:
                call = by_clock.take(moment, taken=self._by_call)
            else:
                call = by_place.take(self._trace.positions.get(reward.id or "", _LAST), taken=self._by_call)
            if call is None:
                self._leave([reward], "no_call")
            else:
                self._by_call[call.id] = reward

    def _leave(self, rewards: Iterable[TraceReward], reason: str) -> None:
        self._unmatched += [
            Unmatched(reward_id=reward.id, rollout_id=self._trace.rollout_id, reason=reason) for reward in rewards
        ]


class _Recent:
    """The most recent call that had ended, and is not taken: log n a step, as moments are asked for in order."""

    def __init__(
        self, calls: Sequence[Candidate], *, ended: Callable[[Candidate], int], began: Callable[[Candidate], int]
    ) -> None:
        self._calls = calls
        self._ended, self._began = ended, began
        self._open: list[tuple[int, int, Candidate]] = []

    @cached_property
    def _ahead(self) -> list[tuple[int, int, Candidate]]:
        """What has not ended yet, the last to end first. Made when it is asked for: most traces go by one clock."""
        return sorted(((self._ended(call), number, call) for number, call in enumerate(self._calls)), reverse=True)

    def take(self, moment: int, *, taken: Container[str]) -> Candidate | None:
        """It; of two that began at once, the one that comes later."""
        ahead = self._ahead
        while ahead and ahead[-1][0] <= moment:
            _, number, call = ahead.pop()
            heappush(self._open, (-self._began(call), -number, call))
        while self._open:
            call = heappop(self._open)[-1]
            if call.id not in taken:
                return call
        return None


def _ended(call: Candidate) -> int:
    return call.piece.ended_at


def _began(call: Candidate) -> int:
    return call.piece.started_at


def _place(call: Candidate) -> int:
    return call.place


_NEAREST_FIRST = ("call", "span", "agent")
_LAST = sys.maxsize
