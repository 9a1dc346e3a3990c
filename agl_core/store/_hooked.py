"""Others have a say in what is handed out, once; and hear how it ended, before whoever waits for it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Protocol

from agl_core.errors import BadValue, KeyReused
from agl_core.events import Event, NoteTaken, RolloutEnqueued, RolloutFinished
from agl_core.ids import canonical, content_id, task_id
from agl_core.log import SqliteLog
from agl_core.record import Draft, Record
from agl_core.store._enqueuing import check
from agl_core.store._types import EnqueueRolloutRequest, Rollout

if TYPE_CHECKING:
    from agl_core.store._store import Store

__all__ = ["Hooks", "Telling", "agreed", "changed"]

_MARK = "on_enqueue"
"""Name in a rollout's metadata of what was asked for, where a hook made something else of it."""
_KNOWN = """
select key, position, json_extract(data, '$.metadata.on_enqueue') is not null
from events
where key in (select value from json_each(?))
"""


class Hooks(Protocol):
    """Whoever they are: what they raise never comes out."""

    @property
    def hear_ends(self) -> bool:
        """Whether any of them wants to be told of ends."""
        ...

    async def enqueuing(self, request: EnqueueRolloutRequest, store: Store) -> EnqueueRolloutRequest:
        """What is to be handed out instead."""
        ...

    async def settled(self, rollout: Rollout, events: Mapping[str, Sequence[Event]], store: Store) -> None:
        """It came to its end; `events` is what each attempt left."""
        ...


def changed(request: EnqueueRolloutRequest, into: object) -> EnqueueRolloutRequest:
    """What a hook made of a request; `BadValue` when it is no request, or another's."""
    if not isinstance(into, EnqueueRolloutRequest):
        raise BadValue(_MARK, into, why="it gives a request, or None")
    for name in ("mode", "run_id", "group", "repeat", "key", "rollout_id"):
        if getattr(into, name) != getattr(request, name):
            raise BadValue(_MARK, getattr(into, name), why=f"{name} stays: it says which rollout this is")
    check(into)
    canonical({"input": into.input, "metadata": dict(into.metadata or {})})
    return into


async def agreed(
    store: Store, hooks: Hooks | None, requests: Sequence[EnqueueRolloutRequest]
) -> list[EnqueueRolloutRequest]:
    """The requests as the hooks have them. One that came before is what it became then, and nobody is asked again."""
    known = _known(store.log, [key for request in requests if (key := _key(request))])
    marked = store.log.records([position for position, is_marked in known.values() if is_marked])
    found = []
    for request in requests:
        position, is_marked = known.get(_key(request) or "", (0, False))
        if is_marked:
            found.append(_as_recorded(request, marked[position]))
        elif position or hooks is None:  # the log compares it with what came first, if anything did
            found.append(request)
        else:
            into = await hooks.enqueuing(request, store)
            found.append(request if into == request else _marked(into, request))
    return found


class Telling:
    """Tells hooks of ends, each once: who waits for one that is being told waits for that too."""

    def __init__(self) -> None:
        self._under_way: dict[str, Future[None]] = {}

    async def of(self, rollout_ids: Sequence[str], store: Store, hooks: Hooks) -> None:
        """Those of them that have come to their end, and were not told of before, by this process or another."""
        new = [rollout_id for rollout_id in _untold(store, rollout_ids) if rollout_id not in _told_here.get()]
        mine: list[str] = []
        others: list[Future[None]] = []
        for rollout_id in new:
            ours: Future[None] = Future()
            telling = self._under_way.setdefault(rollout_id, ours)
            if telling is ours:
                mine.append(rollout_id)
            else:
                others.append(telling)
        await asyncio.gather(*(self._tell(rollout_id, store, hooks) for rollout_id in mine))
        await asyncio.gather(*map(asyncio.wrap_future, others))

    async def _tell(self, rollout_id: str, store: Store, hooks: Hooks) -> None:
        # A hook may itself wait for the rollout that it is told of.
        _told_here.set(_told_here.get() | {rollout_id})
        try:
            # Asked again: somebody else may have told it since.
            for rollout in store.ask.rollouts(ids=_untold(store, [rollout_id])):
                if rollout.status != "cancelled":
                    await hooks.settled(rollout, _left(store.log, rollout_id), store)
                note = NoteTaken(text="hooks were told of its end", data={"rollout_id": rollout_id})
                await store.log.soon([Draft(stream="log", event=note, key=_note(rollout_id))])
        finally:
            self._under_way.pop(rollout_id).set_result(None)


_told_here: ContextVar[frozenset[str]] = ContextVar("agl_told_here", default=frozenset())
"""Rollouts whose ends are being told where this runs."""


def _untold(store: Store, rollout_ids: Sequence[str]) -> list[str]:
    done = store.ask.finished(rollout_ids)
    known = _known(store.log, [_note(rollout_id) for rollout_id in done])
    ids = [rollout_id for rollout_id in dict.fromkeys(rollout_ids) if rollout_id in done]
    return [rollout_id for rollout_id in ids if _note(rollout_id) not in known]


def _note(rollout_id: str) -> str:
    return f"hooks/{rollout_id}"


def _left(log: SqliteLog, rollout_id: str) -> dict[str, tuple[Event, ...]]:
    found: dict[str, list[Event]] = {}
    for record in log.read(stream=f"rollout/{rollout_id}"):
        attempt_id = getattr(record.event, "attempt_id", None)
        if attempt_id and not isinstance(record.event, RolloutFinished):  # the rollout's own end is no attempt's
            found.setdefault(attempt_id, []).append(record.event)
    return {attempt_id: tuple(events) for attempt_id, events in found.items()}


def _key(request: EnqueueRolloutRequest) -> str | None:
    return request.key or (f"rollout/{request.rollout_id}" if request.rollout_id else None)


def _known(log: SqliteLog, keys: Sequence[str]) -> dict[str, tuple[int, bool]]:
    """By key, where that is in the log already, and whether a hook made it what it is."""
    found = log.rows(_KNOWN, (canonical(list(keys)).decode(),)) if keys else []
    return {key: (position, bool(is_marked)) for key, position, is_marked in found}


def _as_recorded(request: EnqueueRolloutRequest, record: Record) -> EnqueueRolloutRequest:
    event = record.event
    assert isinstance(event, RolloutEnqueued)
    if event.metadata[_MARK]["asked"] != _digest(request):
        raise KeyReused(_key(request) or "", position=record.position, differs="data")
    return replace(
        request,
        input=event.input,
        config=event.config,
        metadata=event.metadata,
        resources_id=event.resources_id,
        resources_version=event.resources_version,
    )


def _marked(into: EnqueueRolloutRequest, request: EnqueueRolloutRequest) -> EnqueueRolloutRequest:
    mark = {"asked": _digest(request), "task_id": task_id(request.input, request.copy)}
    return replace(into, metadata={**(into.metadata or {}), _MARK: mark})


def _digest(request: EnqueueRolloutRequest) -> str:
    """Of what was asked for. Not its resources: left open, they are pinned when it is written."""
    asked: dict[str, Any] = {
        name: getattr(request, name) for name in ("input", "mode", "run_id", "group", "repeat", "rollout_id")
    }
    config = asdict(request.config) if request.config is not None else None
    return content_id(canonical({**asked, "config": config, "metadata": dict(request.metadata or {})}))
