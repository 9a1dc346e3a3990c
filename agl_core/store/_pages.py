"""A page of a list: what to keep of it, in which order, and where it begins and ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, overload

from agl_core.errors import BadValue

__all__ = ["FilterLogic", "Page", "PaginatedResult", "SortOrder", "holds", "known"]

T = TypeVar("T")
FilterLogic = Literal["and", "or"]
SortOrder = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class PaginatedResult(Sequence[T], Generic[T]):
    """A page of a list; itself the sequence of its items."""

    items: Sequence[T]
    limit: int
    """As asked; -1 for all."""
    offset: int
    total: int
    """How many the whole list has."""

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """Of this page, from 0."""
        return self.items[index]

    def __len__(self) -> int:
        """Of this page; `total` is the list's."""
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        """Over this page."""
        return iter(self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list, in which order; refused at once when it makes no sense."""

    columns: Mapping[str, str]
    """What the list can be sorted by, and its column."""
    sort_by: str | None = None
    """None for the order in which things came."""
    sort_order: SortOrder = "asc"
    limit: int = -1
    offset: int = 0

    def __post_init__(self) -> None:
        if self.sort_by is not None and self.sort_by not in self.columns:
            raise BadValue("sort_by", self.sort_by, why=f"known are {', '.join(sorted(self.columns))}")
        if self.sort_order not in ("asc", "desc"):
            raise BadValue("sort_order", self.sort_order, why="it is asc or desc")
        if self.limit == 0 or self.limit < -1:
            raise BadValue("limit", self.limit, why="it is a positive number, or -1 for all")
        if self.offset < 0:
            raise BadValue("offset", self.offset, why="it is 0 or more")

    @property
    def order(self) -> str:
        """What follows `order by`; things that compare equal stay in the order they came in."""
        column = "position" if self.sort_by is None else self.columns[self.sort_by]
        return f"{column} {self.sort_order}" + ("" if column == "position" else f", position {self.sort_order}")

    @property
    def is_by_position(self) -> bool:
        """Whether an index over `position` gives the order."""
        return self.sort_by is None or self.columns[self.sort_by] == "position"

    def of(self, items: Sequence[T], total: int) -> PaginatedResult[T]:
        """The page, with its items."""
        return PaginatedResult(items, self.limit, self.offset, total)


def known(what: str, values: Iterable[str] | None, words: Iterable[str]) -> None:
    """Refuse a filter by a word that nothing is ever called: it would match nothing, without a word."""
    for value in values or ():
        if value not in words:
            raise BadValue(what, value, why=f"known are {', '.join(sorted(words))}")


def holds(filters: Iterable[tuple[str, Any]], logic: FilterLogic) -> tuple[str, list[Any]]:
    """SQL for all of `filters` (condition with one mark, value), or for any; those without a value do not count."""
    if logic not in ("and", "or"):
        raise BadValue("filter_logic", logic, why="it is and or or")
    given = [(condition, value) for condition, value in filters if value is not None]
    if not given:
        return "1", []
    return "(" + f" {logic} ".join(condition for condition, _ in given) + ")", [value for _, value in given]
