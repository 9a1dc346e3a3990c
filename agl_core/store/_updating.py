"""What the store decides when somebody changes a rollout or an attempt: each change becomes a fact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from agl_core.errors import AlreadySettled, BadValue, UnknownId
from agl_core.events import (
    AttemptFinished,
    AttemptStarted,
    AttemptUpdated,
    ExitStatus,
    RolloutConfig,
    RolloutDeleted,
    RolloutUpdated,
)
from agl_core.ids import task_id
from agl_core.log import View
from agl_core.record import Draft
from agl_core.store import _decisions as decide
from agl_core.store._decisions import Leases, Standing
from agl_core.store._enqueuing import MODES, pinned
from agl_core.store._types import FINISHED, UNSET, AttemptStatus, RolloutStatus, Unset

__all__ = ["delete", "start_attempt", "update_attempt", "update_rollout"]

_WAITING = ("queuing", "requeuing")
_CHANGED = ("input", "mode", "resources_id", "config", "metadata")
_ENDS: Mapping[str, ExitStatus] = {
    "succeeded": "completed",
    "failed": "agent_raised",
    "timeout": "timeout",
    "unresponsive": "unresponsive",
}
"""What an attempt's status of Agent Lightning becomes, when it is written from outside."""


def start_attempt(
    view: View, rollout_id: str, worker_id: str, leases: Leases, again: AttemptStarted | None = None
) -> list[Draft]:
    """One more, whatever `max_attempts` says; an attempt under way is fenced off by it."""
    rollout = _standing(view, rollout_id)
    if rollout.status in FINISHED:
        raise AlreadySettled("rollout", rollout_id, status=rollout.status)
    lost = decide.lose(view, rollout, "another attempt was asked for")
    return [*lost, decide.begin(view, rollout, worker_id, leases, again=again)]


def delete(view: View, rollout_id: str, why: str) -> list[Draft]:
    """Hide it, once; an open one is cancelled first."""
    rollout = decide.find(view, rollout_id)
    if rollout.is_hidden:
        return []
    return [
        *decide.cancel(view, rollout_id, f"deleted: {why}" if why else "deleted"),
        rollout.draft(RolloutDeleted(rollout_id=rollout_id, why=why)),
    ]


def update_rollout(
    view: View,
    rollout_id: str,
    *,
    leases: Leases,
    input: Any | Unset,
    mode: str | Unset | None,
    resources_id: str | Unset | None,
    status: RolloutStatus | Unset,
    config: RolloutConfig | Unset,
    metadata: Mapping[str, Any] | Unset | None,
) -> list[Draft]:
    """The fields that are set, in one fact; then the status, in the fact that stands for it."""
    rollout = _standing(view, rollout_id)
    if rollout.status in FINISHED and any(value is not UNSET for value in (input, mode, resources_id, config)):
        raise AlreadySettled("rollout", rollout_id, status=rollout.status)
    if rollout.status not in _WAITING and any(value is not UNSET for value in (input, mode, resources_id)):
        why = "an attempt works on it: input, mode and resources can be changed while it waits in the queue"
        raise BadValue("status", rollout.status, why=why)
    changes = _changes(view, input=input, mode=mode, resources_id=resources_id)
    if config is not UNSET:
        changes["config"] = config
    if metadata is not UNSET:
        changes["metadata"] = metadata or {}
    drafts = []
    if changes:
        changed: Any = tuple("resources" if name == "resources_id" else name for name in changes if name in _CHANGED)
        drafts.append(rollout.draft(RolloutUpdated(rollout_id=rollout_id, changed=changed, **changes)))
    if config is not UNSET and rollout.attempt_id:
        _hold_on(view, rollout, rollout.attempt_id, config, leases)
    return drafts if status is UNSET else [*drafts, *_moved(view, rollout, status)]


def _changes(view: View, *, input: Any, mode: str | Unset | None, resources_id: str | Unset | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if input is not UNSET:
        changes |= {"input": input, "task_id": task_id(input)}
    if mode is not UNSET:
        if mode not in MODES:
            raise BadValue("mode", mode, why="it is train, val, test or None")
        changes["mode"] = mode
    if resources_id is not UNSET:
        bundle = pinned(view, resources_id) if resources_id is not None else (None, None)
        changes |= {"resources_id": bundle[0], "resources_version": bundle[1]}
    return changes


def _hold_on(view: View, rollout: Standing, attempt_id: str, config: RolloutConfig, leases: Leases) -> None:
    """From now on its lease is as long as `config` says. One that has run out is not revived."""
    flight = view.in_flight.get("lease", attempt_id)
    if flight is not None and flight.deadline is not None and flight.deadline >= leases.clock.now():
        leases.put(view, rollout.id, attempt_id, config, started=flight.data["started"], owner=flight.owner)


def _moved(view: View, rollout: Standing, status: RolloutStatus) -> list[Draft]:
    """The facts that bring a rollout to `status`."""
    if status not in get_args(RolloutStatus):
        raise BadValue("status", status, why=f"known are {', '.join(get_args(RolloutStatus))}")
    if status == rollout.status or (status in _WAITING and rollout.status in _WAITING):
        return []
    if rollout.status in FINISHED:
        raise AlreadySettled("rollout", rollout.id, status=rollout.status)
    match status:
        case "cancelled":
            return decide.cancel(view, rollout.id, "by update_rollout")
        case "queuing" | "requeuing":
            return decide.lose(view, rollout, "it was put back by update_rollout")
        case "succeeded" | "failed" if rollout.attempt_id and view.in_flight.drop("lease", rollout.attempt_id):
            exit_status = _ENDS[status]
            ended = AttemptFinished(
                rollout_id=rollout.id, attempt_id=rollout.attempt_id, exit_status=exit_status, error=_by_hand(status)
            )
            return [rollout.draft(ended), decide.finished(rollout, rollout.attempt_id, exit_status)]
    raise BadValue(
        "status", status, why=f"it is {rollout.status} and nobody works on it: start an attempt, or cancel it"
    )


def _by_hand(status: str) -> str | None:
    return None if status == "succeeded" else f"its status was set to {status}"


def update_attempt(
    view: View,
    rollout_id: str,
    attempt_id: str,
    *,
    leases: Leases,
    status: AttemptStatus | Unset,
    worker_id: str | Unset,
    last_heartbeat_time: float | Unset,
    metadata: Mapping[str, Any] | Unset | None,
) -> list[Draft]:
    """What is set, in one fact; a heartbeat moves the lease; an end is the fact that an end is.

    An end that comes when the lease is gone is kept, marked late, and changes nothing.
    """
    rollout = _standing(view, rollout_id)
    attempt_id = latest(rollout) if attempt_id == "latest" else attempt_id
    decide.find(view, rollout_id, attempt_id)
    if last_heartbeat_time is not UNSET:
        _hold_on(view, rollout, attempt_id, rollout.config, leases)
    changes: dict[str, Any] = {}
    if worker_id is not UNSET:
        changes["worker_id"] = worker_id
    if metadata is not UNSET:
        changes["metadata"] = metadata or {}
    known = view.rows("select status from attempts where attempt_id = ?", (attempt_id,))[0][0]
    ends = _attempt_moved(view, rollout, attempt_id, known, status)
    if status == "running" and known == "preparing":
        changes["status"] = "running"
    if not changes:
        return ends
    changed: Any = tuple(changes)
    event = AttemptUpdated(rollout_id=rollout_id, attempt_id=attempt_id, changed=changed, **changes)
    return [rollout.draft(event), *ends]


def latest(rollout: Standing) -> str:
    """The attempt that `"latest"` means."""
    if rollout.attempt_id is None:
        raise BadValue("attempt_id", "latest", why=f"rollout {rollout.id} has no attempt yet")
    return rollout.attempt_id


def _attempt_moved(
    view: View, rollout: Standing, attempt_id: str, known: str, status: AttemptStatus | Unset
) -> list[Draft]:
    if status is UNSET or status == known:
        return []
    match status:
        case "succeeded" | "failed":
            return decide.finish(view, rollout.id, attempt_id, _ENDS[status], _by_hand(status))
        case "timeout" | "unresponsive" if view.in_flight.drop("lease", attempt_id):
            expired = decide.expired(rollout, attempt_id, _ENDS[status], f"its status was set to {status}")
            return [expired, *decide.settle(view, rollout, attempt_id, _ENDS[status])]
        case "running" if known == "preparing":
            return []
    if known in ("preparing", "running"):
        raise BadValue("status", status, why=f"the attempt is {known}")
    raise AlreadySettled("attempt", attempt_id, status=known)


def _standing(view: View, rollout_id: str) -> Standing:
    """The rollout, if it is not deleted."""
    rollout = decide.find(view, rollout_id)
    if rollout.is_hidden:
        raise UnknownId("rollout", rollout_id)
    return rollout
