"""The pieces of a trace in their tree, mended where parents are missing: what matching looks at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from agl_core.adapter import Trace
from agl_core.events import CallRecorded, SpanRecorded
from agl_core.projections import Node, tree
from agl_triplets._v03_spans import agent_of, is_judging

__all__ = ["Piece", "around", "grown", "mended", "walk"]


@dataclass(slots=True, eq=False)
class Piece:
    """A span or a call, with what lies in it, in the order it began."""

    id: str
    name: str
    """The span's; empty of what has none."""
    started_at: int
    ended_at: int
    agent: str | None = None
    """As it says itself."""
    is_judging: bool = False
    """Whether what happens in it is done to judge: it is a reward, or works one out."""
    span: SpanRecorded | None = None
    call: CallRecorded | None = None
    above: Piece | None = None
    below: list[Piece] = field(default_factory=list)
    earned: tuple[str | None, ...] = ()
    """Rewards that name it, where it is of `agl_core.projections.tree`: a span that tells of a call is that call."""
    is_loose: bool = True
    """Whether mending may move it; what `agl_core.projections.tree` has placed stays."""


def grown(trace: Trace) -> Piece:
    """The root, and all pieces below it.

    Calls of the wire hang where `agl_core.projections.tree` puts them. In a trace of spans only, a span hangs in its
    parent; spans whose parent is lost hang together, in a piece that stands for it. Of spans that go in circles, the
    one recorded last hangs at the root.
    """
    root = _of_tree(trace) if trace.calls else _of_spans(trace.spans)
    _sort(root)
    return root


def mended(root: Piece) -> Piece:
    """The same tree, in which what hangs at the root hangs in the tightest piece around it in time.

    A piece is around another when it begins no later, ends no sooner, and is longer. Of two as tight, the one that
    comes first from the outside in counts. What would hang in itself stays where it is, and so do calls of the wire,
    in which nothing is hung. Pieces at the root that all else hangs in are the root: mending begins below them.
    """
    top = root
    while len(top.below) == 1:
        top = top.below[0]
    inner = [piece for piece in walk(top) if piece is not top]
    homes = _Homes(top, inner)
    for piece in list(top.below):
        home = homes.of(piece) if piece.is_loose else None
        if home is not None:
            piece.above = home
            home.below.append(piece)
    top.below = [piece for piece in top.below if piece.above is top]
    _sort(top)
    return root


def around(root: Piece, moments: Sequence[int]) -> list[Piece]:
    """For each moment, the tightest piece around it that is no call of the wire; the root where there is none."""
    pieces = [piece for piece in walk(root) if piece is not root and piece.call is None]
    asked = [Piece("", "", moment, moment) for moment in moments]
    tightest = _tightest([*pieces, *asked], {id(piece) for piece in asked})
    return [tightest.get(id(piece), root) for piece in asked]


def walk(root: Piece) -> Iterator[Piece]:
    """From the outside in, what began first before what began later. No recursion: traces are deep."""
    ahead = [root]
    while ahead:
        piece = ahead.pop()
        yield piece
        ahead += reversed(piece.below)


class _Homes:
    """Where pieces at the top belong: one sweep finds all, in n log n."""

    def __init__(self, top: Piece, inner: Sequence[Piece]) -> None:
        # Nobody works inside a call of the wire, however long it takes.
        candidates = [piece for piece in inner if piece.call is None]
        self._tightest = _tightest(candidates, {id(piece) for piece in top.below})
        self._tree = {id(piece): index for index, piece in enumerate(top.below)}
        """By piece: the subtree of the top that it is in."""
        for piece in inner:
            if piece.above is not top:
                self._tree[id(piece)] = self._tree[id(piece.above)]
        self._joined = list(range(len(top.below)))
        """By subtree: one that it has come into, or itself."""

    def of(self, piece: Piece) -> Piece | None:
        """Its home; nothing where there is none, or it lies in the piece itself."""
        home = self._tightest.get(id(piece))
        if home is None:
            return None
        own, other = self._find(self._tree[id(piece)]), self._find(self._tree[id(home)])
        if own == other:
            return None
        self._joined[own] = other
        return home

    def _find(self, subtree: int) -> int:
        while self._joined[subtree] != subtree:
            self._joined[subtree] = self._joined[self._joined[subtree]]
            subtree = self._joined[subtree]
        return subtree


def _tightest(pieces: Sequence[Piece], asked: set[int]) -> dict[int, Piece]:
    """For each piece that is asked for, the shortest that is around it."""
    # By their begin, the longer first: what comes before a piece in this order began no later than it.
    order = sorted(range(len(pieces)), key=lambda index: (pieces[index].started_at, -pieces[index].ended_at))
    ends = sorted({piece.ended_at for piece in pieces})
    shortest = _LeastFrom(len(ends))
    found: dict[int, Piece] = {}
    waiting: list[int] = []
    for index in order:
        piece = pieces[index]
        # Pieces of the very same time are around nobody of their kind: they are let in together, afterwards.
        if waiting and _time(pieces[waiting[0]]) != _time(piece):
            _let_in(waiting, pieces, ends, shortest)
        if id(piece) in asked and (around := shortest.at(bisect_left(ends, piece.ended_at))) is not None:
            found[id(piece)] = pieces[around]
        waiting.append(index)
    return found


def _let_in(waiting: list[int], pieces: Sequence[Piece], ends: Sequence[int], shortest: _LeastFrom) -> None:
    for index in waiting:
        started_at, ended_at = _time(pieces[index])
        shortest.put(bisect_left(ends, ended_at), (ended_at - started_at, index))
    waiting.clear()


class _LeastFrom:
    """The least that was put at a place or after it: a Fenwick tree, log n a step."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._least: list[tuple[int, int] | None] = [None] * (size + 1)

    def put(self, place: int, what: tuple[int, int]) -> None:
        at = self._size - place
        while at <= self._size:
            there = self._least[at]
            if there is None or what < there:
                self._least[at] = what
            at += at & -at

    def at(self, place: int) -> int | None:
        """The second part of the least; nothing where there is none."""
        least: tuple[int, int] | None = None
        at = self._size - place
        while at > 0:
            there = self._least[at]
            if there is not None and (least is None or there < least):
                least = there
            at -= at & -at
        return None if least is None else least[1]


def _time(piece: Piece) -> tuple[int, int]:
    return piece.started_at, piece.ended_at


def _sort(root: Piece) -> None:
    for piece in walk(root):
        piece.below.sort(key=_begin)


def _begin(piece: Piece) -> int:
    return piece.started_at


def _of_spans(spans: Iterable[SpanRecorded]) -> Piece:
    root = Piece("", "", 0, 0)
    pieces: dict[str, Piece] = {}
    for span in spans:
        if span.span_id not in pieces:
            pieces[span.span_id] = _of_span(span)
    lost: dict[str, Piece] = {}
    for piece in pieces.values():
        parent_id = piece.span.parent_id if piece.span is not None else None
        if not parent_id:
            piece.above = root
        elif parent_id in pieces:
            piece.above = pieces[parent_id]
        else:
            piece.above = _stand_in(lost, parent_id, piece, root)
    _cut_circles(pieces.values(), root)
    for piece in (*pieces.values(), *lost.values()):
        if piece.above is not None:
            piece.above.below.append(piece)
    return root


def _of_span(span: SpanRecorded) -> Piece:
    return Piece(
        span.span_id,
        span.name,
        span.started_at,
        max(span.started_at, span.ended_at),
        agent_of(span),
        is_judging(span),
        span,
    )


def _stand_in(lost: dict[str, Piece], parent_id: str, child: Piece, root: Piece) -> Piece:
    """What stands for a parent that is lost: as long as what lies in it."""
    piece = lost.get(parent_id)
    if piece is None:
        piece = lost[parent_id] = Piece(parent_id, "", child.started_at, child.ended_at, above=root)
    piece.started_at = min(piece.started_at, child.started_at)
    piece.ended_at = max(piece.ended_at, child.ended_at)
    return piece


def _cut_circles(pieces: Collection[Piece], root: Piece) -> None:
    """Hang the last recorded piece of each circle at the root."""
    numbers = {id(piece): number for number, piece in enumerate(pieces)}
    safe = {id(root)}
    for piece in pieces:
        line: list[Piece] = []
        seen: dict[int, int] = {}
        at: Piece | None = piece
        while at is not None and id(at) not in safe:
            if id(at) in seen:
                circle = line[seen[id(at)] :]
                max(circle, key=lambda one: numbers[id(one)]).above = root
                break
            seen[id(at)] = len(line)
            line.append(at)
            at = at.above
        safe.update(seen)


def _of_tree(trace: Trace) -> Piece:
    root = Piece("", "", 0, 0)
    spans = {span.span_id: span for span in trace.spans}
    ahead: list[tuple[Node, Piece]] = [(node, root) for node in reversed(tree(trace))]
    while ahead:
        node, above = ahead.pop()
        if node.reward is not None:
            above.earned += (node.reward.id,)  # where it was given is another question
            continue
        piece = _of_node(node, spans.get(node.id or ""))
        piece.above = above
        above.below.append(piece)
        ahead += [(one, piece) for one in reversed(node.below)]
    return root


def _of_node(node: Node, span: SpanRecorded | None) -> Piece:
    started_at = node.started_at or 0
    return Piece(
        node.id or "",
        node.meaning.name if node.meaning is not None else "",
        started_at,
        max(started_at, node.ended_at or 0),
        (agent_of(span) if span is not None else None) or node.agent,
        node.kind == "reward"
        or (span is not None and is_judging(span))
        or (node.call is not None and node.call.role == "judge"),
        span,
        node.call,
        is_loose=node.call is None and span is not None,
    )
