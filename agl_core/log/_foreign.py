"""Ids that point at nothing: what the facts of one rollout, or one fact, name has to be there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby

import msgspec

__all__ = ["LOST", "strangers"]

LOST = "agl log recover"
"""`where` of a `capture.lost` that keeps the place of an event that damage took."""

_STREAMS = "select stream, position, id, type, data from events where stream >= 'rollout/' and stream < 'rollout0' order by stream, version"  # noqa: E501 - one clause
_CAUSES = """
select position, causation_id from events one
where causation_id is not null and not exists (select 1 from events where id = one.causation_id)
order by position
"""


class _Target(msgspec.Struct):
    kind: str
    id: str


class _Names(msgspec.Struct):
    """What an event says of others; the rest of it is not looked at."""

    rollout_id: str | None = None
    attempt_id: str | None = None
    call_id: str | None = None
    target: _Target | None = None
    reward: str | None = None
    erased: str | None = None


_names = msgspec.json.Decoder(_Names).decode


def strangers(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Where an id is named that nothing has, and which."""
    for stream, rows in groupby(db.execute(_STREAMS), key=lambda row: row[0]):
        # One rollout at a time, so that memory is bounded by the largest.
        story = _Story(stream.removeprefix("rollout/"))
        for _, position, id_, type_, data in rows:
            story.take(position, id_, type_, data)
        yield from ((str(position), why) for position, why in story.strangers())
    lost = "select 1 from events where type = 'capture.lost' and json_extract(data, '$.where') = ? limit 1"
    if not db.execute(lost, (LOST,)).fetchone():  # else it was one of those
        for position, cause in db.execute(_CAUSES):
            yield str(position), f"its causation_id {cause} is no event"


class _Story:
    """What the facts of a rollout say of each other."""

    def __init__(self, rollout_id: str) -> None:
        self._rollout_id = rollout_id
        self._known: dict[str, set[str]] = {"rollout": set(), "attempt": set(), "call": set(), "reward": set()}
        self._asked: list[tuple[int, str, str]] = []
        self._wrong: list[tuple[int, str]] = []
        self._is_whole = True

    def take(self, position: int, id_: str, type_: str, data: str) -> None:
        """Take one fact in."""
        try:
            names = _names(data)
        except msgspec.MsgspecError:
            return  # a type of somebody else, or one that a deep look will find unreadable
        if type_ == "capture.lost" or names.erased:
            self._is_whole = False
        if names.rollout_id not in {None, self._rollout_id}:
            self._wrong.append((position, f"it is of {names.rollout_id}, in the stream of {self._rollout_id}"))
        is_later = type_.startswith(("rollout.", "attempt.")) and type_ != "rollout.enqueued"
        if is_later and not self._known["rollout"]:
            self._wrong.append((position, f"{self._rollout_id} was never enqueued"))
        self._learn(id_, type_, names)
        self._ask(position, type_, names)

    def _learn(self, id_: str, type_: str, names: _Names) -> None:
        match type_:
            case "rollout.enqueued":
                self._known["rollout"].add(self._rollout_id)
            case "attempt.started":
                self._known["attempt"].add(str(names.attempt_id))
            case "call.recorded":
                self._known["call"].add(str(names.call_id))
            case "reward.given":
                self._known["reward"].add(id_)

    def _ask(self, position: int, type_: str, names: _Names) -> None:
        if names.attempt_id:
            self._asked.append((position, "attempt", names.attempt_id))
        if names.target and names.target.kind in self._known:
            self._asked.append((position, names.target.kind, names.target.id))
        if type_ == "reward.withdrawn":
            self._asked.append((position, "reward", str(names.reward)))

    def strangers(self) -> Iterator[tuple[int, str]]:
        """Where it names what is not there; what was lost or erased is not missed."""
        if not self._is_whole:
            return
        yield from self._wrong
        if self._known["rollout"]:  # else nobody but the agent itself knows of it, and of its attempts
            yield from ((at, f"no {kind} {id_}") for at, kind, id_ in self._asked if id_ not in self._known[kind])
