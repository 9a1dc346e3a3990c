"""What a request becomes when it is enqueued: checked at the door, its resources pinned, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agl_core.codec import Codec
from agl_core.errors import BadValue, KeyReused, UnknownId
from agl_core.events import RolloutConfig, RolloutEnqueued
from agl_core.ids import new_id, task_id
from agl_core.log import View
from agl_core.record import Draft
from agl_core.store._decisions import Standing
from agl_core.store._types import EnqueueRolloutRequest

__all__ = ["MODES", "check", "enqueued", "pinned", "standing"]

MODES = (None, "train", "val", "test")


def check(request: EnqueueRolloutRequest) -> None:
    """Refuse what can be refused without a look at the log."""
    if request.mode not in MODES:
        raise BadValue("mode", request.mode, why="it is train, val, test or None")
    if request.rollout_id is not None and not (request.rollout_id and "/" not in request.rollout_id):
        raise BadValue("rollout_id", request.rollout_id, why="it is a word without slashes")


def enqueued(view: View, requests: Sequence[EnqueueRolloutRequest], codec: Codec) -> tuple[list[Draft], list[str]]:
    """A draft for each request that is new, and the rollout of each request, in their order.

    A request with a key, or an id of its own, that came before is that rollout; with other content it is refused.
    """
    pins = {pin: pinned(view, *pin) for pin in {(one.resources_id, one.resources_version) for one in requests}}
    fresh: dict[str, Draft] = {}
    by_key: dict[str, str] = {}
    ids = []
    for request in requests:
        draft = _draft(request, *pins[request.resources_id, request.resources_version])
        name = draft.stream.removeprefix("rollout/")
        before = by_key.get(request.key or "", name)
        if before in fresh:
            _check_same(request, draft, fresh[before], codec)
        elif (known := _known(view, request)) is not None:
            before, position, data = known
            _check_equal(request, draft, msgspec.json.decode(data), codec, position)
        else:
            fresh[before] = draft
        if request.key:
            by_key[request.key] = before
        ids.append(before)
    return list(fresh.values()), ids


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


def _known(view: View, request: EnqueueRolloutRequest) -> tuple[str, int, str] | None:
    """The rollout, the position and the data of the request that came before under that key or id."""
    sql = "select stream, position, data from events where key = ?"
    found = view.rows(sql, (request.key,)) if request.key else []
    if not found and request.rollout_id:
        sql = "select stream, position, data from events where stream = ? and version = 1"
        found = view.rows(sql, (f"rollout/{request.rollout_id}",))
    if not found:
        return None
    stream, position, data = found[0]
    return stream.removeprefix("rollout/"), position, data


def _check_same(request: EnqueueRolloutRequest, draft: Draft, before: Draft, codec: Codec) -> None:
    _check_equal(request, draft, msgspec.json.decode(codec.encode(before.event).data), codec, 0)


def _check_equal(
    request: EnqueueRolloutRequest, draft: Draft, before: dict[str, Any], codec: Codec, position: int
) -> None:
    """Ids and versions that the request left open were settled by the first of its kind."""
    now = msgspec.json.decode(codec.encode(draft.event).data)
    left_open = set() if request.rollout_id else {"rollout_id"}
    if request.resources_id is None:
        left_open |= {"resources_id", "resources_version"}
    elif request.resources_version is None:
        left_open |= {"resources_version"}
    differs = sorted(name for name in now if name not in left_open and now[name] != before.get(name))
    if differs:
        raise KeyReused(request.key or str(request.rollout_id), position=position, differs=", ".join(differs))


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
        metadata=request.metadata or {},
        run_id=request.run_id,
        group=request.group,
        repeat=request.repeat,
    )
    return Draft(
        stream=f"rollout/{rollout_id}", event=event, key=request.key, correlation_id=request.run_id or rollout_id
    )
