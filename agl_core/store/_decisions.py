"""What the store decides inside a transaction: it looks, and says what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from agl_core.clock import Clock
from agl_core.errors import RunHeld, UnknownId
from agl_core.events import (
    INFRASTRUCTURE,
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    CallRecorded,
    ExitStatus,
    ModelCall,
    RolloutCancelled,
    RolloutConfig,
    RolloutFinished,
    owner,
)
from agl_core.ids import new_id
from agl_core.log import Owner, View, is_alive
from agl_core.projections import exit_to_status
from agl_core.record import Draft
from agl_core.store._types import FINISHED

__all__ = [
    "Leases",
    "begin",
    "cancel",
    "claim",
    "expire",
    "finish",
    "give_back",
    "hold",
    "recover_calls",
    "release",
    "renew",
]

_MOST_ATTEMPTS = 10
"""However often workers die under it, a rollout is not tried more than this."""


@dataclass(frozen=True, slots=True)
class Leases:
    """How long a worker may be silent."""

    owner: Owner
    clock: Clock
    seconds: float = 30.0
    """A lease without renewal ends after this; it is renewed when a third of it has gone."""

    def renewal(self) -> int:
        """Leases that end before this are renewed."""
        return self.clock.now() + int(self.seconds * 2 / 3 * 1e9)

    def deadline(self, config: RolloutConfig, started: int) -> int:
        """When the attempt is lost unless something happens."""
        silent = min(config.unresponsive_seconds or self.seconds, self.seconds)
        ends = [self.clock.now() + int(silent * 1e9)]
        if config.timeout_seconds is not None:
            # The runner times its agent out itself; this is for one that hangs or is gone, and leaves it the time to.
            ends.append(started + int((config.timeout_seconds + 5.0) * 1e9))
        return min(ends)


def claim(view: View, workers: Sequence[str], leases: Leases) -> list[Draft]:
    """Give the first of the queue to `workers`, one each, under leases."""
    waiting = view.rows(
        "select q.rollout_id, r.attempts, r.config, r.run_id from queue q join rollouts r using (rollout_id) "
        "order by q.position limit ?",
        (len(workers),),
    )
    drafts = []
    for (rollout_id, attempts, config, run_id), worker_id in zip(waiting, workers, strict=False):
        drafts.append(begin(view, rollout_id, attempts, config, run_id, worker_id, leases))
    return drafts


def begin(
    view: View, rollout_id: str, attempts: int, config: str, run_id: str | None, worker_id: str, leases: Leases
) -> Draft:
    """One more attempt, under a lease."""
    attempt_id, sequence = new_id("at"), attempts + 1
    started = leases.clock.now()
    view.in_flight.put(
        "lease",
        attempt_id,
        owner=leases.owner,
        deadline=leases.deadline(msgspec.json.decode(config, type=RolloutConfig), started),
        data={"rollout_id": rollout_id, "started": started},
    )
    return Draft(
        stream=f"rollout/{rollout_id}",
        event=AttemptStarted(
            rollout_id=rollout_id, attempt_id=attempt_id, sequence=sequence, worker_id=worker_id, token=sequence
        ),
        correlation_id=run_id or rollout_id,
    )


def finish(view: View, rollout_id: str, attempt_id: str, exit_status: ExitStatus, error: str | None) -> list[Draft]:
    """Settle an attempt whose lease is still held; otherwise remember that its result came too late."""
    run_id, status, *_ = _rollout(view, rollout_id)
    if not view.rows("select 1 from attempts where attempt_id = ? and rollout_id = ?", (attempt_id, rollout_id)):
        raise UnknownId("attempt", attempt_id)
    held = view.in_flight.drop("lease", attempt_id)
    late = not held or status in FINISHED
    drafts = [
        Draft(
            stream=f"rollout/{rollout_id}",
            event=AttemptFinished(
                rollout_id=rollout_id, attempt_id=attempt_id, exit_status=exit_status, error=error, late=late
            ),
            correlation_id=run_id or rollout_id,
        )
    ]
    return drafts if late else drafts + _settle(view, rollout_id, attempt_id, exit_status)


def renew(view: View, leases: Leases) -> list[Draft]:
    """Move the deadlines of this process's leases; not those already passed, nor past an attempt's time-out."""
    now = leases.clock.now()
    for flight in view.in_flight.of("lease"):
        if flight.owner == leases.owner and flight.deadline is not None and flight.deadline >= now:
            _, _, _, config = _rollout(view, flight.data["rollout_id"])
            until = leases.deadline(msgspec.json.decode(config, type=RolloutConfig), flight.data["started"])
            if until > flight.deadline:
                view.in_flight.put("lease", flight.id, owner=flight.owner, deadline=until, data=flight.data)
    return []


def expire(view: View, leases: Leases) -> list[Draft]:
    """End the leases that ran out, and at once those whose process is dead."""
    now = leases.clock.now()
    drafts: list[Draft] = []
    dead: dict[Owner, bool] = {}
    for flight in view.in_flight.of("lease"):
        gone = dead.setdefault(flight.owner, flight.owner != leases.owner and is_alive(flight.owner) is False)
        overdue = flight.deadline is not None and flight.deadline < now
        if not gone and not overdue:
            continue
        rollout_id = flight.data["rollout_id"]
        run_id, status, _, config = _rollout(view, rollout_id)
        timeout = msgspec.json.decode(config, type=RolloutConfig).timeout_seconds
        exit_status: ExitStatus = "unresponsive"
        why = f"no sign of life from process {flight.owner.pid} on {flight.owner.host}"
        if gone:
            exit_status, why = "worker_lost", f"process {flight.owner.pid} on {flight.owner.host} is dead"
        elif timeout is not None and now > flight.data["started"] + int(timeout * 1e9):
            exit_status, why = "timeout", f"it took longer than {timeout:g} s, and its worker did not end it"
        view.in_flight.drop("lease", flight.id)
        if status in FINISHED:
            continue
        event = AttemptExpired(rollout_id=rollout_id, attempt_id=flight.id, exit_status=exit_status, why=why)
        drafts.append(
            Draft(
                stream=f"rollout/{rollout_id}",
                event=event,
                key=f"expire/{flight.id}",
                correlation_id=run_id or rollout_id,
            )
        )
        drafts += _settle(view, rollout_id, flight.id, exit_status)
    return drafts


def give_back(view: View, attempts: Sequence[AttemptStarted]) -> list[Draft]:
    """Attempts that were claimed and never begun go back to the queue, at no cost to them."""
    return [
        Draft(
            stream=f"rollout/{started.rollout_id}",
            event=AttemptExpired(
                rollout_id=started.rollout_id,
                attempt_id=started.attempt_id,
                exit_status="worker_lost",
                why="its worker stopped before it began",
            ),
            key=f"expire/{started.attempt_id}",
            correlation_id=_rollout(view, started.rollout_id)[0] or started.rollout_id,
        )
        for started in attempts
        if view.in_flight.drop("lease", started.attempt_id)
    ]


def cancel(view: View, rollout_id: str, why: str) -> list[Draft]:
    """Call it off, unless it is settled."""
    run_id, status, attempt_id, _ = _rollout(view, rollout_id)
    if status in FINISHED:
        return []
    if attempt_id:
        view.in_flight.drop("lease", attempt_id)
    return [
        Draft(
            stream=f"rollout/{rollout_id}",
            event=RolloutCancelled(rollout_id=rollout_id, why=why),
            correlation_id=run_id or rollout_id,
        )
    ]


def hold(view: View, run_id: str, me: Owner) -> list[Draft]:
    """The run is this process's, unless another one has it that lives, or may live."""
    flight = view.in_flight.get("run", run_id)
    if flight and flight.owner != me and is_alive(flight.owner) is not False:
        raise RunHeld(run_id, holder=f"process {flight.owner.pid} on {flight.owner.host}")
    view.in_flight.put("run", run_id, owner=me)
    return []


def release(view: View, run_id: str, me: Owner) -> list[Draft]:
    """The run is nobody's, if it was this process's."""
    flight = view.in_flight.get("run", run_id)
    if flight and flight.owner == me:
        view.in_flight.drop("run", run_id)
    return []


def recover_calls(view: View, leases: Leases) -> list[Draft]:
    """Calls that dead processes had under way: nobody knows what came of them."""
    drafts = []
    for flight in view.in_flight.of("call"):
        if flight.owner == leases.owner or is_alive(flight.owner) is not False:
            continue
        view.in_flight.drop("call", flight.id)
        event = CallRecorded(
            call_id=flight.id,
            rollout_id=flight.data["rollout_id"],
            attempt_id=flight.data["attempt_id"],
            call=ModelCall(model=flight.data["model"]),
            status="unknown",
            error=f"process {flight.owner.pid} died during the call",
            started_at=flight.data["started"],
            latency=0.0,
        )
        drafts.append(
            Draft(
                stream=f"rollout/{event.rollout_id}",
                event=event,
                key=f"call/{flight.id}",
                correlation_id=flight.data.get("run_id") or event.rollout_id,
            )
        )
    return drafts


def _settle(view: View, rollout_id: str, attempt_id: str, exit_status: ExitStatus) -> list[Draft]:
    """Finished, unless it is tried again: then the projection puts it back into the queue."""
    run_id, _, _, config = _rollout(view, rollout_id)
    attempts = [status for (status,) in view.rows(_EXITS, (rollout_id, attempt_id))] + [exit_status]
    if _is_tried_again(attempts, msgspec.json.decode(config, type=RolloutConfig)):
        return []
    status = "succeeded" if exit_to_status(exit_status) == "succeeded" else "failed"
    return [
        Draft(
            stream=f"rollout/{rollout_id}",
            event=RolloutFinished(
                rollout_id=rollout_id,
                status=status,  # type: ignore[arg-type]  # the two words it can be
                exit_status=exit_status,
                attempt_id=attempt_id,
            ),
            correlation_id=run_id or rollout_id,
        )
    ]


_EXITS = (
    "select exit_status from attempts "
    "where rollout_id = ? and attempt_id <> ? and exit_status is not null order by sequence"
)


def _is_tried_again(exits: list[str], config: RolloutConfig) -> bool:
    last = exits[-1]
    if len(exits) >= max(_MOST_ATTEMPTS, config.max_attempts):
        return False
    if owner(last) == "policy" and not _is_asked_for(last, config):
        return False
    if last == "worker_lost":
        return True  # the process died, not the attempt: it costs no try
    if config.retry_condition and not _is_asked_for(last, config):
        return False
    return sum(exit_status != "worker_lost" for exit_status in exits) < config.max_attempts


def _is_asked_for(exit_status: str, config: RolloutConfig) -> bool:
    names = {exit_status}
    if owner(exit_status) != "policy":  # v0.3's `failed` does not mean what the policy did itself
        names.add(exit_to_status(exit_status))
    if exit_status in INFRASTRUCTURE:
        names.add("infrastructure")
    return bool(names & set(config.retry_condition))


def _rollout(view: View, rollout_id: str) -> tuple[str | None, str, str | None, str]:
    sql = "select run_id, status, attempt_id, config from rollouts where rollout_id = ?"
    found = view.rows(sql, (rollout_id,))
    if not found:
        raise UnknownId("rollout", rollout_id)
    row: tuple[str | None, str, str | None, str] = found[0]
    return row
