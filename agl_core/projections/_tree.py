"""The span tree of a trace: spans by their parents, and model calls hung in where they were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agl_core.events import CallRecorded, SpanRecorded
from agl_core.projections._trace import Trace, TraceReward
from agl_core.spans import Kind, SpanDialect, SpanMeaning, meaning, table

__all__ = ["Node", "tree"]

NodeKind = Kind | Literal["call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A piece of a rollout, and the pieces it is made of, in the order they began."""

    kind: NodeKind
    """That of its span; `call` of a model call as the wire had it; `reward` of one that was given."""
    name: str
    """The tool's, the agent's, the model's; of what has none, its span's."""
    id: str | None
    """Of the span, the call or the reward; null of an agent that no span tells of, only its calls."""
    agent: str | None
    """Who did it."""
    started_at: int | None
    """Nanoseconds since the epoch; null of a reward."""
    ended_at: int | None
    error: str | None = None
    """What went wrong, in a word or a line."""
    meaning: SpanMeaning | None = None
    """Of the span; of a call, too, where a span was told of it."""
    call: CallRecorded | None = None
    reward: TraceReward | None = None
    below: tuple[Node, ...] = ()


def tree(trace: Trace, *, dialects: Sequence[SpanDialect] | None = None) -> tuple[Node, ...]:
    """What the attempt that counts did, from the outside in. Pure: the same trace gives the same tree.

    A call hangs in the innermost span of its agent that was under way when it began; one whose agent no span tells
    of, in a node of that agent, where the call it was made for leads to. Where two places fit equally, the one around
    both is taken. A span that tells of a call the wire had too is that call's. Spans are read by `dialects`; where none
    are given, by the core's, or those of `agl_core.spans.reading_by`.
    """
    grown = _Grown(trace, table() if dialects is None else dialects)
    for call in trace.calls:
        grown.hang(call)
    for reward in trace.rewards:
        grown.give(reward)
    return grown.whole()


@dataclass(slots=True, eq=False)
class _Twig:
    """A node in the making."""

    kind: NodeKind
    name: str
    id: str | None
    agent: str | None
    span: SpanRecorded | None = None
    meaning: SpanMeaning | None = None
    call: CallRecorded | None = None
    reward: TraceReward | None = None
    above: _Twig | None = None
    below: list[_Twig] = field(default_factory=list)

    def under(self, above: _Twig) -> _Twig:
        """Itself, hung there."""
        self.above = above
        above.below.append(self)
        return self

    @property
    def line(self) -> list[_Twig]:
        """From the root to here."""
        found = [self]
        while found[-1].above is not None:
            found.append(found[-1].above)
        return found[::-1]

    @property
    def who(self) -> str | None:
        """The agent at work here: its own, else that of the nearest node above with one."""
        twig: _Twig | None = self
        while twig is not None and not twig.agent:
            twig = twig.above
        return None if twig is None else twig.agent


class _Grown:
    """A tree in the making."""

    def __init__(self, trace: Trace, dialects: Sequence[SpanDialect]) -> None:
        self._root = _Twig("other", "", None, None)
        self._spans = {span.span_id: _of_span(span, dialects) for span in trace.spans}
        self._calls: dict[str, _Twig] = {}
        self._of_calls: dict[tuple[int, str, str | None], _Twig] = {}
        """By place, name and the call they work for: agents that no span tells of."""
        for twig in self._spans.values():
            twig.under(self._above(twig))
        self._around = _under_way(self._spans.values(), {call.started_at for call in trace.calls})
        """By moment: where something could happen then."""
        self._told = {
            twig.meaning.response_id: twig
            for twig in self._spans.values()
            if twig.kind == "model_call" and twig.meaning is not None and twig.meaning.response_id
        }

    def hang(self, call: CallRecorded) -> None:
        """The call, where it was made."""
        told = self._told.pop(call.call.response_id or "", None)
        if told is None:
            told = _Twig("call", call.call.model, call.call_id, call.agent).under(self._place(call))
        told.kind, told.name, told.id, told.call = "call", call.call.model, call.call_id, call
        told.agent = call.agent or told.agent
        self._calls[call.call_id] = told

    def give(self, reward: TraceReward) -> None:
        """The reward, at what earned it; at the root what was given to the rollout, or to what is not there."""
        target = reward.given.target
        known: Mapping[str, Mapping[str, _Twig]] = {"call": self._calls, "span": self._spans}
        earned = known.get(target.kind, {}).get(target.id, self._root)
        agent = target.id if target.kind == "agent" else None
        _Twig("reward", reward.given.name, reward.id, agent, reward=reward).under(earned)

    def whole(self) -> tuple[Node, ...]:
        """All of it."""
        return _made(self._root).below

    def _above(self, twig: _Twig) -> _Twig:
        """The span it says it is in; the root, where there is none, or they go in circles."""
        span = twig.span
        parent = self._spans.get(span.parent_id or "") if span is not None else None
        if parent is None or parent is twig:
            return self._root
        # What nothing hangs in yet is in nobody's line: most spans, and a deep trace is not climbed for each of them.
        return self._root if twig.below and any(above is twig for above in parent.line) else parent

    def _place(self, call: CallRecorded) -> _Twig:
        around = self._around[call.started_at]
        if call.agent is None:
            return self._innermost(around)
        if own := [twig for twig in around if twig.who == call.agent]:
            return self._innermost(own)
        parent = self._calls.get(call.parent_call_id or "")
        if parent is None:
            place = self._innermost([twig for twig in around if twig.who is None])
        else:
            # A tool of the agent that spawned it, when one was at work; else the call it was made for.
            place = self._innermost([twig for twig in around if twig.who == parent.who], otherwise=parent)
        key = id(place), call.agent, call.parent_call_id
        if key not in self._of_calls:
            self._of_calls[key] = _Twig("agent", call.agent, None, call.agent).under(place)
        return self._of_calls[key]

    def _innermost(self, around: Sequence[_Twig], *, otherwise: _Twig | None = None) -> _Twig:
        """The innermost of those, if they lie in one another; else the one around all that do not."""
        above: set[int] = set()
        for twig in around:
            at = twig.above
            while at is not None and id(at) not in above:
                above.add(id(at))
                at = at.above
        ends = [twig.line for twig in around if id(twig) not in above]
        if not ends:
            return otherwise or self._root
        shared: list[_Twig] = [
            twigs[0] for twigs in zip(*ends, strict=False) if all(twig is twigs[0] for twig in twigs)
        ]
        return shared[-1]


def _under_way(twigs: Iterable[_Twig], moments: Iterable[int]) -> dict[int, list[_Twig]]:
    """By moment, what was under way then: one sweep over both, in the order of time."""
    ahead = sorted(
        ((twig.span, twig) for twig in twigs if twig.span is not None and twig.kind != "reward"),
        key=lambda pair: pair[0].started_at,
        reverse=True,
    )
    found: dict[int, list[_Twig]] = {}
    going: list[tuple[SpanRecorded, _Twig]] = []
    for moment in sorted(moments):
        while ahead and ahead[-1][0].started_at <= moment:
            going.append(ahead.pop())
        going = [(span, twig) for span, twig in going if span.ended_at >= moment]
        found[moment] = [twig for _, twig in going]
    return found


def _of_span(span: SpanRecorded, dialects: Sequence[SpanDialect]) -> _Twig:
    told = meaning(span, dialects=dialects)
    name = {"tool": told.tool, "agent": told.agent, "handoff": told.handed_to, "model_call": told.model}.get(told.kind)
    return _Twig(told.kind, name or told.name, span.span_id, told.agent, span=span, meaning=told)


def _made(root: _Twig) -> Node:
    """Whole, from the inside out. No recursion: traces are deep."""
    order, ahead = [], [root]
    while ahead:
        order.append(ahead.pop())
        ahead += order[-1].below
    made: dict[int, Node] = {}
    for twig in reversed(order):
        below = tuple(sorted((made.pop(id(one)) for one in twig.below), key=_begin))
        made[id(twig)] = _node(twig, below)
    return made[id(root)]


def _node(twig: _Twig, below: tuple[Node, ...]) -> Node:
    started, ended = _times(twig, below)
    return Node(
        kind=twig.kind,
        name=twig.name,
        id=twig.id,
        agent=twig.agent,
        started_at=started,
        ended_at=ended,
        error=_error(twig),
        meaning=twig.meaning,
        call=twig.call,
        reward=twig.reward,
        below=below,
    )


def _begin(node: Node) -> tuple[bool, int]:
    """Rewards last: they are given when the work is done."""
    return node.started_at is None, node.started_at or 0


def _times(twig: _Twig, below: Iterable[Node]) -> tuple[int | None, int | None]:
    if twig.call is not None:
        return twig.call.started_at, twig.call.started_at + round(twig.call.latency * 1e9)
    if twig.span is not None:
        return twig.span.started_at, twig.span.ended_at
    timed = [(node.started_at, node.ended_at) for node in below if node.started_at is not None]
    return min((start for start, _ in timed), default=None), max((end for _, end in timed if end), default=None)


def _error(twig: _Twig) -> str | None:
    if twig.call is not None and twig.call.status != "ok":
        return twig.call.error or twig.call.status
    if twig.span is not None and twig.span.status == "error":
        word = twig.meaning.error if twig.meaning is not None else None
        return ": ".join(filter(None, (word, twig.span.status_message))) or "error"
    return None
