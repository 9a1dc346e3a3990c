"""An item of a streamed response, or a part of one, while its pieces come: in whatever order, and how often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Piece"]


class Piece:
    """Fields that grow, and the parts in it, which are pieces themselves."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)
        self._texts: dict[str, list[str]] = {}  # joined at the end: answers come in thousands of deltas
        self._lists: dict[str, list[Any]] = {}
        self._parts: dict[str, dict[int, Piece]] = {}
        self._settled: set[str] = set()
        self._is_done = False

    @property
    def type(self) -> Any:
        """As the item or part names it."""
        return self._fields.get("type")

    def begin(self, fields: Mapping[str, Any]) -> None:
        """It is announced; what has come before that stays."""
        if not self._is_done:
            self._fields.update(fields)

    def end(self, fields: Mapping[str, Any]) -> None:
        """It is said as a whole: what comes after that is noise."""
        self._fields = dict(fields)
        for pieces in (self._texts, self._lists, self._parts):
            pieces.clear()
        self._is_done = True

    def grow(self, name: str, delta: str) -> None:
        """A text goes on."""
        if not self._is_done and name not in self._settled:
            before = self._fields.get(name)
            self._texts.setdefault(name, [before] if isinstance(before, str) else []).append(delta)

    def settle(self, name: str, whole: str) -> None:
        """A text is said as a whole."""
        if not self._is_done:
            self._texts[name] = [whole]
            self._settled.add(name)

    def extend(self, name: str, entries: Iterable[Any]) -> None:
        """A list goes on."""
        if not self._is_done:
            before = self._fields.get(name)
            self._lists.setdefault(name, list(before) if isinstance(before, list) else []).extend(entries)

    def put(self, name: str, value: Any) -> None:
        """A field is as it was said last."""
        if not self._is_done:
            self._fields[name] = value

    def part(self, name: str, index: int, fields: Mapping[str, Any]) -> Piece:
        """The part at its place in a list; it begins with `fields` if nothing has come of it."""
        if self._is_done:
            return Piece(fields)
        parts = self._parts.setdefault(name, {})
        if index not in parts:
            before = self._fields.get(name)
            known = before[index] if isinstance(before, list) and 0 <= index < len(before) else None
            parts[index] = Piece(known if isinstance(known, Mapping) else fields)
        return parts[index]

    def said(self) -> dict[str, Any]:
        """All that has come."""
        said = {**self._fields, **self._lists}
        said.update({name: "".join(texts) for name, texts in self._texts.items()})
        for name, parts in self._parts.items():
            before = self._fields.get(name)
            whole = dict(enumerate(before if isinstance(before, list) else ()))
            whole.update({index: part.said() for index, part in parts.items()})
            said[name] = [whole[index] for index in sorted(whole)]
        return said
