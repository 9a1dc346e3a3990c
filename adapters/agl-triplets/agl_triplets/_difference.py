"""Where a row leaves the one it shares most with, for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agl_triplets._beginnings import WIDTH
from agl_triplets._row import Row

__all__ = ["Difference", "difference"]

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Tokens on both sides of a break, a few of each."""

    at: int
    """Index of the first token that differs."""
    call_id: str
    """The call whose token stood there."""
    shared: tuple[int, ...]
    """What both rows have up to there."""
    expected: tuple[int, ...]
    """What the other row has from there."""
    found: tuple[int, ...]
    """What this row has from there."""

    def show(self, decode: Decode | None = None) -> str:
        """In one line: as text, where there is a tokenizer to `decode` with, else as ids."""
        shared, expected, found = (
            list(ids) if decode is None else repr(decode(ids)) for ids in (self.shared, self.expected, self.found)
        )
        return f"token {self.at}: after {shared} came {expected} in {self.call_id}, and now {found}"


def difference(row: Row) -> Difference | None:
    """Of a row that begins at a break; None of one that leaves no other."""
    if row.differs_at is None or row.differs_from is None:
        return None
    at = row.differs_at
    return Difference(
        at=at,
        call_id=row.differs_from,
        shared=row.token_ids[max(0, at - WIDTH) : at],
        expected=row.expected,
        found=row.token_ids[at : at + WIDTH],
    )
