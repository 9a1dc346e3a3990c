"""The names of movements, and what the log remembers of each."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from agl_core.errors import AmbiguousLabel, BadValue
from agl_core.events import Event, StepRecorded
from agl_core.ids import canonical, content_id
from agl_core.log import SqliteLog
from agl_core.record import Draft, Record
from agl_core.run._sides import diverged, kept

__all__ = ["Asked", "Journal", "Movement", "name_of"]


@dataclass(frozen=True, slots=True)
class Movement:
    """One thing an algorithm does, under a name that the same code gives it again."""

    key: str
    recorded: Record | None
    """What the log has of it, if it was done before."""

    def check(self, recorded: Any, asked: Any) -> None:
        """Today's code must ask for what was asked for then; both are plain JSON. Raises `ReplayDiverged`."""
        if canonical(recorded) != canonical(asked):
            raise diverged(self.key, self.recorded, recorded=recorded, asked=asked)

    def step(self, asked: Asked) -> StepRecorded:
        """What is recorded of a step, if it is what is asked for."""
        assert self.recorded is not None
        event = self.recorded.event
        assert isinstance(event, StepRecorded)
        if event.digest != asked.digest:
            then, now = Asked(event.digest, event.function, event.arguments), asked
            if not then.function or then.told == now.told:  # it is older than these, or they hide what differs
                self.check(then.digest, now.digest)
            self.check(then.told, now.told)
        return event


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step is asked for: by its hash, and as far as it is short enough to be shown."""

    digest: str = ""
    function: str = ""
    arguments: tuple[Any, ...] = ()

    @classmethod
    def of(cls, fn: Callable[..., Any], *args: Any) -> Asked:
        """A function and its arguments; `BadValue` where they cannot be written down."""
        name = name_of(fn)
        try:
            given = [msgspec.json.encode(one, order="sorted", enc_hook=str) for one in args]
        except (TypeError, msgspec.MsgspecError) as error:
            raise BadValue("arguments", args, why=f"they cannot be written down ({error})") from None
        whole = b"[" + b",".join([msgspec.json.encode(name), *given]) + b"]"
        return cls(content_id(whole), name, kept(given))

    @property
    def told(self) -> dict[str, Any]:
        """To be shown beside another."""
        return {"function": self.function, "arguments": list(self.arguments)}


class Journal:
    """Numbers the movements of a scope: `{run}/{scope}/{kind}/{label}/{n}`."""

    def __init__(self, log: SqliteLog, run_id: str, scope: str, actor: str) -> None:
        self.log, self.run_id, self.scope, self.actor = log, run_id, scope, actor
        self._counts: Counter[tuple[str, str]] = Counter()
        self._under_way: set[tuple[str, str]] = set()
        self.ids: Counter[str] = Counter()
        """How many were made for each purpose."""
        self.is_reading_back = False
        """Whether the last movement that was begun had been recorded by an earlier process."""

    def child(self, name: str) -> Self:
        """That of a scope in this one."""
        return type(self)(self.log, self.run_id, f"{self.scope}.{name}", self.actor)

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
