"""Token sequences by their prefixes: which known one a prompt continues, and where it leaves them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Node", "Path", "Prefixes", "Tokens"]

Owner = TypeVar("Owner")
Tokens = tuple[int, ...]


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
                shared += _common(here, node.label)
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
                node = below[tokens[index]] = _upper_half(node, at=_common(here, node.label))
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


def _common(left: Tokens, right: Tokens) -> int:
    pairs = zip(left, right, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))
