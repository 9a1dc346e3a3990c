"""The names of movements, and what the log remembers of each."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from agl_core.errors import AmbiguousLabel, BadValue, ReplayDiverged
from agl_core.events import Event
from agl_core.ids import content_id
from agl_core.log import SqliteLog
from agl_core.record import Draft, Record

__all__ = ["Journal", "Movement", "digest", "name_of"]


@dataclass(frozen=True, slots=True)
class Movement:
    """One thing an algorithm does, under a name that the same code gives it again."""

    key: str
    recorded: Record | None
    """What the log has of it, if it was done before."""

    def check(self, recorded: str, asked: str) -> None:
        """Today's code must ask for what was asked for then."""
        if recorded != asked:
            position = self.recorded.position if self.recorded else 0
            raise ReplayDiverged(self.key, position=position, recorded=recorded, asked=asked)


class Journal:
    """Numbers the movements of a scope: `{run}/{scope}/{kind}/{label}/{n}`."""

    def __init__(self, log: SqliteLog, run_id: str, scope: str, actor: str) -> None:
        self.log, self.run_id, self.scope, self.actor = log, run_id, scope, actor
        self._counts: Counter[tuple[str, str]] = Counter()
        self._under_way: set[tuple[str, str]] = set()
        self.is_reading_back = False
        """Whether the last movement that was begun had been recorded by an earlier process."""

    @contextmanager
    def movement(self, kind: str, label: str) -> Iterator[Movement]:
        """The next movement of that kind and label; one at a time."""
        if "/" in kind:
            raise BadValue("kind", kind, why="a slash separates the parts of a key")
        name = (kind, label)
        if name in self._under_way:
            raise AmbiguousLabel(kind, label)
        self._under_way.add(name)
        key = f"{self.run_id}/{self.scope}/{kind}/{label}/{self._counts[name]}"
        self._counts[name] += 1
        recorded = self.log.get(key)
        self.is_reading_back = recorded is not None
        try:
            yield Movement(key, recorded)
        finally:
            self._under_way.discard(name)

    def draft(self, event: Event, key: str | None) -> Draft:
        """The event as a fact of this run."""
        return Draft(stream=f"run/{self.run_id}", event=event, key=key, correlation_id=self.run_id, actor=self.actor)

    def append(self, *drafts: Draft) -> Record:
        """Write; the first record."""
        return self.log.append(drafts)[0]


def name_of(fn: Callable[..., Any]) -> str:
    """`module:qualified.name` of a function or method."""
    target = inspect.unwrap(fn)
    return f"{getattr(target, '__module__', '?')}:{getattr(target, '__qualname__', repr(target))}"


def digest(fn: Callable[..., Any], *args: Any) -> str:
    """Hash of a function's name and its arguments."""
    try:
        return content_id(msgspec.json.encode([name_of(fn), *args], order="sorted", enc_hook=str))
    except (TypeError, msgspec.MsgspecError) as error:
        raise BadValue("arguments", args, why=f"they cannot be written down ({error})") from None
