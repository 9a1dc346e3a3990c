"""Token sequences by their prefixes: which known one a prompt continues, and where it leaves them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Node", "Path", "Prefixes", "Tokens", "common"]

Owner = TypeVar("Owner")
Tokens = tuple[int, ...]

_AT_ONCE = 256  # slices are compared at the speed of C, tokens one by one are not


@dataclass(slots=True)
class Node(Generic[Owner]):
    """A place where sequences end or part."""

    label: Tokens
    """Tokens from the node above to here."""
    owner: Owner
    """Who came this way first."""
    below: dict[int, Node[Owner]] = field(default_factory=dict)
    """By first token of the label."""
    ending: list[Owner] = field(default_factory=list)
    """Who ends here and may be continued, oldest first."""
    ended: bool = False
    """Whether a sequence ever ended here."""


@dataclass(frozen=True, slots=True)
class Path(Generic[Owner]):
    """How far a sequence goes along known ones."""

    nodes: tuple[Node[Owner], ...]
    """Passed whole, from the top."""
    shared: int
    """Tokens in common with `nearest`."""
    nearest: Owner | None
    """Who shares most; the one that was there first, when several do."""


class Prefixes(Generic[Owner]):
    """A radix tree: following and adding are linear in the tokens asked about, however many sequences it holds."""

    def __init__(self) -> None:
        self._roots: dict[int, Node[Owner]] = {}

    def follow(self, tokens: Tokens) -> Path[Owner]:
        """The way `tokens` goes until it ends, or leaves every known sequence."""
        nodes: list[Node[Owner]] = []
        shared, nearest, below = 0, None, self._roots
        while shared < len(tokens) and (node := below.get(tokens[shared])) is not None:
            here = tokens[shared : shared + len(node.label)]
            nearest = node.owner
            if here != node.label:
                shared += common(here, node.label)
                break
            shared += len(here)
            nodes.append(node)
            below = node.below
        return Path(tuple(nodes), shared, nearest)

    def add(self, tokens: Tokens, owner: Owner) -> None:
        """Let `owner` end where `tokens` ends; there is at least one."""
        index, below = 0, self._roots
        while True:
            node = below.get(tokens[index])
            if node is None:
                node = below[tokens[index]] = Node(tokens[index:], owner)
            elif (here := tokens[index : index + len(node.label)]) != node.label:
                node = below[tokens[index]] = _upper_half(node, at=common(here, node.label))
            index += len(node.label)
            if index == len(tokens):
                node.ending.append(owner)
                node.ended = True
                return
            below = node.below


def _upper_half(node: Node[Owner], *, at: int) -> Node[Owner]:
    upper = Node(node.label[:at], node.owner, {node.label[at]: node})
    node.label = node.label[at:]
    return upper


def common(left: Tokens, right: Tokens) -> int:
    """How many tokens they begin with alike."""
    shorter = min(len(left), len(right))
    for start in range(0, shorter, _AT_ONCE):
        one, other = left[start : start + _AT_ONCE], right[start : start + _AT_ONCE]
        if one != other:
            pairs = enumerate(zip(one, other, strict=False), start)
            return next((index for index, (a, b) in pairs if a != b), shorter)
    return shorter
