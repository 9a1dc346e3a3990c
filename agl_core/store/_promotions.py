"""Versions that were declared the best, one after the other, and what each version came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agl_core.errors import UnknownId
from agl_core.events import ResourcesPromoted
from agl_core.log import SqliteLog
from agl_core.resources import ResourcesUpdate
from agl_core.store._rows import bundle

__all__ = ["Promotion", "before", "lineage", "promotions", "version"]

_SECOND = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A version was declared the best."""

    resources_id: str
    version: int
    why: str
    run_id: str | None
    by: str
    """Which person; empty when an algorithm did."""
    actor: str
    position: int
    time: float
    """Seconds since the epoch."""

    @property
    def name(self) -> str:
        """`id@version`."""
        return f"{self.resources_id}@{self.version}"


def promotions(log: SqliteLog, *, run_id: str | None = None, resources_id: str | None = None) -> list[Promotion]:
    """In their order, of one run or of one bundle if that is said; the last one counts."""
    return [
        Promotion(
            resources_id=event.resources_id, version=event.version, why=event.why, run_id=event.run_id, by=event.by,
            actor=record.actor, position=record.position, time=record.recorded_at / _SECOND,
        )
        for record in log.read(types=[ResourcesPromoted.type])
        # An event that was erased says nothing.
        if isinstance(event := record.event, ResourcesPromoted)
        and (run_id is None or event.run_id == run_id)
        and (resources_id is None or event.resources_id == resources_id)
    ]  # fmt: skip


def before(names: Iterable[str]) -> str | None:
    """The one to go back to, of `id@version` in the order they were declared best: that under the last.

    What was gone back on counts no more: going back twice is two back, not there and back.
    """
    stack: list[str] = []
    for name in names:
        if name in stack:
            del stack[stack.index(name) :]
        stack.append(name)
    return stack[-2] if len(stack) > 1 else None


def version(log: SqliteLog, resources_id: str, number: int | None = None) -> ResourcesUpdate:
    """A version of a bundle; the newest when none is named."""
    found = log.rows(
        "select resources_id, version, parent, why, data, created_at from resources "
        "where resources_id = ? and (? is null or version = ?) order by version desc limit 1",
        (resources_id, number, number),
    )
    if not found:
        raise UnknownId("resource", resources_id if number is None else f"{resources_id}@{number}")
    return bundle(found[0])


def lineage(log: SqliteLog, of: ResourcesUpdate) -> list[ResourcesUpdate]:
    """The version, the one it was derived from, and so on to the one that came from none."""
    found = [of]
    while (parent := found[-1].parent) is not None:
        name, _, number = parent.rpartition("@")
        try:
            one = version(log, name, int(number))
        except (UnknownId, ValueError):
            break  # it was published in another log, and is named here
        if one in found:
            break  # no version of ours comes from itself, but a log that was brought here may say so
        found.append(one)
    return found
