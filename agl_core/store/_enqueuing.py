"""What a request becomes when it is enqueued: checked at the door, its resources pinned, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from agl_core.errors import BadValue, KeyReused, UnknownId
from agl_core.events import RolloutConfig, RolloutEnqueued
from agl_core.ids import new_id, task_id
from agl_core.log import View
from agl_core.record import Draft
from agl_core.store._decisions import Standing
from agl_core.store._types import EnqueueRolloutRequest

__all__ = ["MODES", "check", "enqueued", "pinned", "standing"]

_Bundle = Callable[[str | None, int | None], tuple[str | None, int | None]]
MODES = (None, "train", "val", "test")


def check(request: EnqueueRolloutRequest) -> None:
    """Refuse what can be refused without a look at the log."""
    if request.mode not in MODES:
        raise BadValue("mode", request.mode, why="it is train, val, test or None")
    if request.rollout_id is not None and not (request.rollout_id and "/" not in request.rollout_id):
        raise BadValue("rollout_id", request.rollout_id, why="it is a word without slashes")


def enqueued(view: View, requests: Sequence[EnqueueRolloutRequest]) -> list[Draft]:
    """A draft for each request, in their order.

    A request with a key, or an id of its own, that came before becomes the draft it became then, if it still asks for
    the same; the log gives back the first record of its key, or refuses it.
    """
    bundle = cache(partial(pinned, view))  # a batch asks for few of them, and each is looked up once
    firsts: dict[str, _First] = {}
    drafts = []
    for request in requests:
        key = request.key or (f"rollout/{request.rollout_id}" if request.rollout_id else None)
        first = firsts.get(key or "") or _first(view, request, key)
        draft = _draft(request, first.key if first else key, first, _pin(bundle, request, first))
        drafts.append(draft)
        if draft.key:
            assert isinstance(draft.event, RolloutEnqueued)
            pin = draft.event.resources_id, draft.event.resources_version
            firsts[draft.key] = _First(draft.key, draft.event.rollout_id, *pin)
    return drafts


def standing(draft: Draft) -> Standing:
    """Where a rollout stands that comes with this draft."""
    event = draft.event
    assert isinstance(event, RolloutEnqueued)
    return Standing(event.rollout_id, event.run_id, "queuing", None, 0, event.config, is_hidden=False)


def pinned(view: View, resources_id: str | None, version: int | None = None) -> tuple[str | None, int | None]:
    """The bundle of that id at its newest version, or at the one named; without an id, the latest there is."""
    if resources_id is None:
        found = view.rows("select resources_id, version from resources order by position desc limit 1")
        return found[0] if found else (None, None)
    found = view.rows(
        "select resources_id, version from resources where resources_id = ? and (? is null or version = ?) "
        "order by version desc limit 1",
        (resources_id, version, version),
    )
    if not found:
        raise UnknownId("resource", resources_id if version is None else f"{resources_id}@{version}")
    bundle: tuple[str, int] = found[0]
    return bundle


@dataclass(frozen=True, slots=True)
class _First:
    """What was settled when a request came first."""

    key: str
    rollout_id: str
    resources_id: str | None
    resources_version: int | None


def _first(view: View, request: EnqueueRolloutRequest, key: str | None) -> _First | None:
    if key is None:
        return None
    said = (f"json_extract(data, '$.{name}')" for name in ("rollout_id", "resources_id", "resources_version"))
    columns = ", ".join(("key", "position", *said))
    found = view.rows(f"select {columns} from events where key = ?", (key,))  # noqa: S608 - our own names
    if not found and request.rollout_id:
        sql = f"select {columns} from events where stream = ? and version = 1"  # noqa: S608 - our own names
        found = view.rows(sql, (f"rollout/{request.rollout_id}",))
    if not found:
        return None
    before, position, rollout_id, resources_id, version = found[0]
    if before is None or rollout_id is None:
        raise KeyReused(key, position=position, differs="key")
    return _First(before, rollout_id, resources_id, version)


def _pin(bundle: _Bundle, request: EnqueueRolloutRequest, first: _First | None) -> tuple[str | None, int | None]:
    """What it asks for; what it leaves open was settled by the first of its kind, or is the latest."""
    if first is None or request.resources_version is not None:
        return bundle(request.resources_id, request.resources_version)
    if request.resources_id in (None, first.resources_id):
        return first.resources_id, first.resources_version
    return bundle(request.resources_id, None)


def _draft(
    request: EnqueueRolloutRequest, key: str | None, first: _First | None, pin: tuple[str | None, int | None]
) -> Draft:
    rollout_id = request.rollout_id or (first.rollout_id if first else new_id("ro"))
    event = RolloutEnqueued(
        rollout_id=rollout_id,
        input=request.input,
        task_id=task_id(request.input, request.copy),
        mode=request.mode,  # type: ignore[arg-type]  # checked at the door
        resources_id=pin[0],
        resources_version=pin[1],
        config=request.config or RolloutConfig(),
        metadata=request.metadata or {},
        run_id=request.run_id,
        group=request.group,
        repeat=request.repeat,
        parent=request.parent,
    )
    return Draft(stream=f"rollout/{rollout_id}", event=event, key=key, correlation_id=request.run_id or rollout_id)
