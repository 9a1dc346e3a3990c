"""Reactions: pure policies that follow a run's log; what one decides is a function of its facts alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from agl_core.errors import BadValue
from agl_core.events import Event
from agl_core.ids import canonical, content_id
from agl_core.record import Draft, Record

__all__ = ["Following", "Reaction", "Write", "is_of", "options", "react", "unwritten"]

State = TypeVar("State")
Write = Callable[[Sequence[Draft]], Sequence[Record]]
"""Keeps drafts, once each, and gives their records."""


class Reaction(Protocol[State]):
    """A frozen dataclass; its fields are its options, plain JSON; `name`, `version` and `hears` are class variables.

    Both functions are pure: no clock, no chance, no file, nothing kept on `self`. So a run that is killed and resumed
    decides the same, and what was decided is not written twice.
    """

    @property
    def name(self) -> str:
        """By which it is registered."""
        ...

    @property
    def version(self) -> str:
        """Of its way of deciding."""
        ...

    @property
    def hears(self) -> Collection[type[Event]]:
        """The events that it is told of, of its own run; none named means all."""
        ...

    def begin(self) -> State:
        """What it knows before the run's first fact: an immutable value."""
        ...

    def evolve(self, state: State, record: Record) -> State:
        """What it knows after this one. Its own decisions come by here too, as soon as they are made."""
        ...

    def decide(self, state: State, record: Record) -> Iterable[Draft]:
        """What is to be written now that `record` is known, which `state` has in it already. Mostly nothing."""
        ...


@dataclass
class Following(Generic[State]):
    """A reaction at work on one run: it hears each record of the run once, in the order of the log."""

    reaction: Reaction[State]
    run_id: str
    seat: str
    """What it is called in the run: its name, numbered where there are several."""

    def __post_init__(self) -> None:
        self.state = self.reaction.begin()

    def hear(self, record: Record, write: Write) -> bool:
        """Fold the record, and write what is decided; whether anything was. Its own decisions were folded before."""
        if not is_of(record, self.run_id) or (record.key or "").startswith(self._prefix):
            return False
        hears = tuple(self.reaction.hears)
        if hears and not isinstance(record.event, hears):
            return False
        self.state = self.reaction.evolve(self.state, record)
        drafts = [self._kept(draft, record, n) for n, draft in enumerate(self.reaction.decide(self.state, record))]
        for decision in write(drafts) if drafts else ():
            self.state = self.reaction.evolve(self.state, decision)
        return bool(drafts)

    @property
    def _prefix(self) -> str:
        return f"reaction/{self.run_id}/{self.seat}/"

    def _kept(self, draft: Draft, cause: Record, number: int) -> Draft:
        """The draft under the one name that it has, whoever decides it again."""
        return replace(
            draft,
            key=f"{self._prefix}{cause.position}/{number}",
            causation_id=cause.id,
            correlation_id=self.run_id,
            actor=f"{self.reaction.name} {self.reaction.version}",
        )


def is_of(record: Record, run_id: str) -> bool:
    """Whether it belongs to the run's story."""
    return record.correlation_id == run_id or record.stream == f"run/{run_id}"


def react(reaction: Reaction[State], records: Iterable[Record], *, run_id: str) -> list[Draft]:
    """What the reaction decides of those records, no log needed: for tests, and for asking what it would have done."""
    decided: list[Draft] = []

    def write(drafts: Sequence[Draft]) -> Sequence[Record]:
        decided.extend(drafts)
        return unwritten(drafts)

    following = Following(reaction, run_id, reaction.name)
    for record in records:
        following.hear(record, write)
    return decided


def unwritten(drafts: Sequence[Draft]) -> list[Record]:
    """Records of what nobody kept: they have no place."""
    return [
        Record(
            position=0,
            id=content_id(str(draft.key).encode()),
            stream=draft.stream,
            version=0,
            event=draft.event,
            key=draft.key,
            causation_id=draft.causation_id,
            correlation_id=draft.correlation_id,
            actor=draft.actor,
            occurred_at=0,
            recorded_at=0,
        )
        for draft in drafts
    ]


def options(reaction: Reaction[Any]) -> dict[str, Any]:
    """What it was told, so that an equal one can be made; `BadValue` when that is no plain JSON."""
    given: Any = reaction
    if not is_dataclass(type(given)):
        raise BadValue("reaction", type(given).__name__, why="it is a frozen dataclass, whose fields are its options")
    found: dict[str, Any] = asdict(given)
    canonical(found)
    return found
