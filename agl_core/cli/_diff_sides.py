"""What the two sides of `agl diff` are: an id in a log, a log, or rows in files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agl_core.cli._logs import find, find_either, open_log, where
from agl_core.errors import BadValue, LogUnsupported, NotReplayable

if TYPE_CHECKING:
    from agl_core.log import SqliteLog

__all__ = ["Place", "Side", "Thing", "sides"]

_KINDS = {"run": "run", "ro": "rollout", "ba": "batch", "rs": "resource"}
_OTHERS = ("at", "ca", "ck", "sp", "ta", "wk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where ids are looked for that do not say it themselves."""

    log: str | None
    at: str | None
    """The position that the log is seen at, also one that an id names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """Something in a log."""

    log: SqliteLog
    id: str
    """Empty where the log itself is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two."""

    typed: str
    kind: str
    """`rows`, `run`, `rollout`, `batch`, `resource`, or `replay`: a log as such."""
    thing: Thing | None = None
    path: Path | None = None

    def __str__(self) -> str:
        return self.thing.id if self.thing is not None and self.thing.id else self.typed

    @property
    def of(self) -> Thing:
        """What is in a log."""
        assert self.thing is not None
        return self.thing

    @property
    def rows(self) -> Path:
        """Where the rows are."""
        assert self.path is not None
        return self.path


def sides(first: str, second: str | None, *, logs: tuple[Place, Place], closing: ExitStack) -> tuple[Side, Side]:
    """Both, of one kind; their logs are open until `closing` is."""
    a = _side(first, logs[0], closing)
    if second is None:
        return _source_of(a, closing), a
    b = _side(second, logs[1], closing)
    if a.kind != b.kind:
        raise BadValue("B", second, why=f"it is a {b.kind}, and A a {a.kind}: two of a kind are compared")
    if a.kind == "replay":
        why = "a log may hold many things: name a run or a rollout in each, as LOG#ID"
        raise BadValue("A and B", f"{first} {second}", why=why)
    return a, b


def _side(typed: str, place: Place, closing: ExitStack) -> Side:
    from agl_core.log import Format

    def opened(log: str | None) -> SqliteLog:
        return closing.enter_context(open_log(log, at=place.at))

    path, sharp, id_ = typed.rpartition("#")
    if sharp and path:
        return _thing(typed, id_, opened(path))
    file = Path(typed).expanduser()
    if not file.exists():
        return _thing(typed, typed, opened(place.log))
    if file.is_dir() or Format.of(file) is None:
        return Side(typed=typed, kind="rows", path=file)
    return Side(typed=typed, kind="replay", thing=Thing(log=opened(typed), id=""))


def _thing(typed: str, id_: str, log: SqliteLog) -> Side:
    prefix = id_.partition("-")[0].lower()
    if prefix in _OTHERS:
        why = "it is of something that is not compared: name a run, a rollout, a batch or a resource"
        raise BadValue("id", id_, why=why)
    kind = _KINDS.get(prefix, "run")
    if kind == "resource":
        # Whoever compares them knows what `@V` means, and what none means.
        return Side(typed=typed, kind=kind, thing=Thing(log=log, id=id_))
    found = find_either(log, id_) if prefix not in _KINDS else find(log, kind, id_)
    if found.startswith("ro-"):
        kind = "rollout"
    return Side(typed=typed, kind=kind, thing=Thing(log=log, id=found))


def _source_of(replay: Side, closing: ExitStack) -> Side:
    """The log that it was replayed from."""
    from agl_core.events import ReplayStarted

    if replay.kind != "replay":
        raise click.UsageError("name two; one alone may be the log of a replay")
    started = next(iter(replay.of.log.read(types=[ReplayStarted.type], limit=1)), None)
    if started is None or not isinstance(started.event, ReplayStarted):
        cure = "Name what it is to be compared with"
        raise NotReplayable(replay.typed, why="it is not the log of a replay", cure=cure)
    source, _ = where(started.event.source)
    if not source.exists():
        id_ = started.event.rollout_id
        cure = f"Name where it is now: agl diff LOG#{id_} {replay.typed}#{id_}"
        raise LogUnsupported(str(source), why="the log that was replayed is not there any more", cure=cure)
    log = closing.enter_context(open_log(str(source)))
    return Side(typed=str(source), kind="replay", thing=Thing(log=log, id=""))
