"""What a request becomes when it is enqueued: checked at the door, its resources pinned."""

from __future__ import annotations

from collections.abc import Sequence

from agl_core.errors import BadValue, UnknownId
from agl_core.events import RolloutConfig, RolloutEnqueued
from agl_core.ids import new_id, task_id
from agl_core.log import View
from agl_core.record import Draft
from agl_core.store._types import EnqueueRolloutRequest

__all__ = ["check", "enqueued", "enqueued_before"]

_MODES = (None, "train", "val", "test")


def check(request: EnqueueRolloutRequest) -> None:
    """Refuse what can be refused without a look at the log."""
    if request.mode not in _MODES:
        raise BadValue("mode", request.mode, why="it is train, val, test or None")


def enqueued_before(view: View, keys: Sequence[str]) -> dict[str, str]:
    """Key to rollout id, of requests that came before."""
    known = {}
    for key in keys:
        for (stream,) in view.rows("select stream from events where key = ?", (key,)):
            known[key] = stream.removeprefix("rollout/")
    return known


def enqueued(view: View, requests: Sequence[EnqueueRolloutRequest]) -> list[Draft]:
    """A draft for each request. Resources nobody named are the latest."""
    pins = {pin: _pinned(view, *pin) for pin in {(one.resources_id, one.resources_version) for one in requests}}
    return [_draft(one, *pins[one.resources_id, one.resources_version]) for one in requests]


def _pinned(view: View, resources_id: str | None, version: int | None) -> tuple[str | None, int | None]:
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
    pinned: tuple[str, int] = found[0]
    return pinned


def _draft(request: EnqueueRolloutRequest, resources_id: str | None, version: int | None) -> Draft:
    rollout_id = request.rollout_id or new_id("ro")
    event = RolloutEnqueued(
        rollout_id=rollout_id,
        input=request.input,
        task_id=task_id(request.input),
        mode=request.mode,  # type: ignore[arg-type]  # checked at the door
        resources_id=resources_id,
        resources_version=version,
        config=request.config or RolloutConfig(),
        metadata=request.metadata,
        run_id=request.run_id,
        group=request.group,
        repeat=request.repeat,
    )
    return Draft(
        stream=f"rollout/{rollout_id}", event=event, key=request.key, correlation_id=request.run_id or rollout_id
    )
