"""The pieces of a trace in their tree, mended where parents are missing: what matching looks at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from agl_core.adapter import Trace
from agl_core.events import CallRecorded, SpanRecorded
from agl_core.projections import Node, tree
from agl_triplets._v03_spans import whose

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
    below: Sequence[Piece] = ()
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
    return _of_tree(trace) if trace.calls else _of_spans(trace.spans)


def mended(root: Piece) -> Piece:
    """The same tree, in which what hangs at the root hangs in the tightest piece around it in time.

    A piece is around another when it begins no later, ends no sooner, and is longer. Of two as tight, the one that
    comes first from the outside in counts. What would hang in itself stays where it is, and so do calls of the wire,
    in which nothing is hung. Pieces at the root that all else hangs in are the root: mending begins below them.
    """
    top = root
    while len(top.below) == 1:
        top = top.below[0]
    loose = [piece for piece in top.below if piece.is_loose]
    homes = _tightest([piece for piece in walk(top) if piece is not top], loose)
    if not homes:
        return root
    subtrees = _Subtrees(top)
    moved = []
    for piece in top.below:
        home = homes.get(id(piece))
        if home is not None and subtrees.join(piece, home):
            piece.above = home
            moved.append(piece)
    top.below = [piece for piece in top.below if piece.above is top]
    _hang(moved)
    return root


def around(root: Piece, moments: Sequence[int]) -> list[Piece]:
    """For each moment, the tightest piece around it that is no call of the wire; the root where there is none."""
    asked = [Piece("", "", moment, moment) for moment in moments]
    tightest = _tightest([piece for piece in walk(root) if piece is not root], asked)
    return [tightest.get(id(piece), root) for piece in asked]


def walk(root: Piece) -> Iterator[Piece]:
    """From the outside in, what began first before what began later. No recursion: traces are deep."""
    ahead = [root]
    while ahead:
        piece = ahead.pop()
        yield piece
        if piece.below:
            ahead += reversed(piece.below)


def _tightest(pieces: Iterable[Piece], asked: Sequence[Piece]) -> dict[int, Piece]:
    """By `id()` of each piece that is asked for, the shortest that is around it."""
    least = min((piece.ended_at - piece.started_at for piece in asked), default=0)
    # Nobody works inside a call of the wire, however long it takes; and what is short is around nothing.
    wide = [piece for piece in pieces if piece.ended_at - piece.started_at > least and piece.call is None]
    # By their begin, the longer first: what comes before a piece in this order began no later than it. Of the very same
    # time, those that are asked for come first: what takes no longer is not around them.
    order = [(piece.started_at, -piece.ended_at, 0, number) for number, piece in enumerate(asked)]
    order += [(piece.started_at, -piece.ended_at, 1, number) for number, piece in enumerate(wide)]
    order.sort()
    shortest = _Shortest()
    found: dict[int, Piece] = {}
    for started_at, minus_end, is_around, number in order:
        if is_around:
            shortest.put(-minus_end, (-minus_end - started_at, number))
        elif (around := shortest.until(-minus_end)) is not None:
            found[id(asked[number])] = wide[around]
    return found


class _Shortest:
    """The shortest of the pieces that end at a moment or later: only those that are it for some moment are kept."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._lengths: list[tuple[int, int]] = []
        """With the number of the piece. They rise with the ends: what ends earlier, and is longer, is never the one."""

    def put(self, end: int, length: tuple[int, int]) -> None:
        at = bisect_left(self._ends, end)
        if at < len(self._ends) and self._lengths[at] < length:
            return
        until = at + (at < len(self._ends) and self._ends[at] == end)
        while at > 0 and self._lengths[at - 1] > length:
            at -= 1
        self._ends[at:until] = [end]
        self._lengths[at:until] = [length]

    def until(self, end: int) -> int | None:
        """Its number; nothing where none ends so late."""
        at = bisect_left(self._ends, end)
        return self._lengths[at][1] if at < len(self._ends) else None


class _Subtrees:
    """Which of the pieces at the top have come into one another."""

    def __init__(self, top: Piece) -> None:
        self._of = {id(piece): number for number, piece in enumerate(top.below)}
        for piece in walk(top):
            if piece is not top and piece.above is not top:
                self._of[id(piece)] = self._of[id(piece.above)]
        self._joined = list(range(len(top.below)))

    def join(self, piece: Piece, home: Piece) -> bool:
        """Put the first into the second, unless that lies in the first: whether it was done."""
        own, other = self._find(self._of[id(piece)]), self._find(self._of[id(home)])
        if own != other:
            self._joined[own] = other
        return own != other

    def _find(self, subtree: int) -> int:
        while self._joined[subtree] != subtree:
            self._joined[subtree] = self._joined[self._joined[subtree]]
            subtree = self._joined[subtree]
        return subtree


_begin = attrgetter("started_at")


def _of_spans(spans: Iterable[SpanRecorded]) -> Piece:
    root = Piece("", "", 0, 0)
    pieces: dict[str, Piece] = {}
    later: list[Piece] = []
    for span in spans:
        if span.span_id in pieces:
            continue
        piece = pieces[span.span_id] = _of_span(span)
        if not span.parent_id:
            piece.above = root
        elif (parent := pieces.get(span.parent_id)) is not None and parent is not piece:
            piece.above = parent
        else:
            later.append(piece)
    lost: dict[str, Piece] = {}
    for piece in later:
        parent_id = (piece.span and piece.span.parent_id) or ""
        piece.above = pieces.get(parent_id) or _stand_in(lost, parent_id, piece, root)
    if later:
        _cut_circles(pieces.values(), root)
    _hang((*pieces.values(), *lost.values()))
    return root


def _hang(pieces: Iterable[Piece]) -> None:
    """Each in what is above it, in the order they began."""
    unsorted: dict[int, list[Piece]] = {}
    for piece in pieces:
        if piece.above is None:
            continue
        below = piece.above.below
        if not isinstance(below, list):
            piece.above.below = [piece]  # most pieces have nothing in them, and no list
            continue
        if below[-1].started_at > piece.started_at:
            unsorted[id(below)] = below
        below.append(piece)
    for below in unsorted.values():
        below.sort(key=_begin)


def _of_span(span: SpanRecorded) -> Piece:
    began, ended = span.started_at, span.ended_at
    agent, judging = whose(span)
    return Piece(span.span_id, span.name, began, max(began, ended), agent, judging, span)


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
    safe = {id(root)}
    numbers: dict[int, int] = {}
    for piece in pieces:
        if id(piece.above) in safe:
            safe.add(id(piece))
            continue
        line: dict[int, Piece] = {}
        at: Piece | None = piece
        while at is not None and id(at) not in safe and id(at) not in line:
            line[id(at)] = at
            at = at.above
        if at is not None and id(at) in line:
            numbers = numbers or {id(one): number for number, one in enumerate(pieces)}
            circle = [*line.values()][[*line].index(id(at)) :]
            last = max((numbers[id(one)], place) for place, one in enumerate(circle))
            circle[last[1]].above = root
        safe.update(line)


def _of_tree(trace: Trace) -> Piece:
    root = Piece("", "", 0, 0)
    spans = {span.span_id: span for span in trace.spans}
    made: list[Piece] = []
    ahead: list[tuple[Node, Piece]] = [(node, root) for node in reversed(tree(trace))]
    while ahead:
        node, above = ahead.pop()
        if node.reward is not None:
            above.earned += (node.reward.id,)  # where it was given is another question
            continue
        piece = _of_node(node, spans.get(node.id or ""))
        piece.above = above
        made.append(piece)
        ahead += [(one, piece) for one in reversed(node.below)]
    _hang(made)
    return root


def _of_node(node: Node, span: SpanRecorded | None) -> Piece:
    started_at = node.started_at or 0
    agent, judging = whose(span) if span is not None else (None, False)
    return Piece(
        node.id or "",
        node.meaning.name if node.meaning is not None else "",
        started_at,
        max(started_at, node.ended_at or 0),
        agent or node.agent,
        judging or node.kind == "reward" or (node.call is not None and node.call.role == "judge"),
        span,
        node.call,
        is_loose=node.call is None and span is not None,
    )
