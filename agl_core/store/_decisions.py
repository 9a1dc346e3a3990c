"""What the store decides about attempts inside a transaction: it looks, and says what happened."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agl_core.clock import Clock
from agl_core.errors import UnknownId
from agl_core.events import (
    INFRASTRUCTURE,
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    Event,
    ExitStatus,
    RolloutCancelled,
    RolloutConfig,
    RolloutFinished,
    owner,
)
from agl_core.ids import new_id
from agl_core.log import Owner, View
from agl_core.projections import exit_to_status
from agl_core.record import Draft
from agl_core.store._types import FINISHED, rollout_config

if TYPE_CHECKING:
    from agl_core.log._in_flight import Flight

__all__ = [
    "Leases",
    "Standing",
    "begin",
    "cancel",
    "expire",
    "expired",
    "find",
    "finish",
    "finished",
    "give_back",
    "is_tried_again",
    "lose",
    "renew",
    "settle",
]

_LEAST = 3.0
"""Seconds of silence that are always allowed: leases are looked after once a second."""
_MOST_ATTEMPTS = 10
"""However often workers die under it, a rollout is not tried more than this."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rollout stands, as a decision sees it."""

    id: str
    run_id: str | None
    status: str
    attempt_id: str | None
    """The latest, whether it is open or not."""
    attempts: int
    config: RolloutConfig
    is_hidden: bool

    def draft(self, event: Event, *, key: str | None = None) -> Draft:
        """An event of its stream, in the story of its run."""
        return Draft(stream=f"rollout/{self.id}", event=event, key=key, correlation_id=self.run_id or self.id)


def find(view: View, rollout_id: str, attempt_id: str | None = None) -> Standing:
    """The rollout, deleted or not; with that attempt, if one is named."""
    try:
        found = view.rows(_STANDING, (attempt_id, rollout_id))
    except UnicodeEncodeError as error:  # half of a surrogate pair, which is in no id
        raise UnknownId("attempt" if error.object == attempt_id else "rollout", error.object) from None
    if not found:
        raise UnknownId("rollout", rollout_id)
    run_id, status, latest, attempts, config, hidden, is_its = found[0]
    if attempt_id is not None and not is_its:
        raise UnknownId("attempt", attempt_id)
    decoded = rollout_config(config)
    return Standing(rollout_id, run_id, status, latest, attempts, decoded, bool(hidden))


_STANDING = (
    "select run_id, status, attempt_id, attempts, config, hidden, "
    "exists (select 1 from attempts a where a.attempt_id = ? and a.rollout_id = r.rollout_id) "
    "from rollouts r where rollout_id = ?"
)


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

    def put(
        self,
        view: View,
        rollout_id: str,
        attempt_id: str,
        config: RolloutConfig,
        *,
        started: int,
        owner: Owner | None = None,
    ) -> None:
        """Hold the attempt: until nothing was heard for `silence`, and in no case past `until`."""
        now = self.clock.now()
        silence = int(min(max(config.unresponsive_seconds or self.seconds, _LEAST), self.seconds) * 1e9)
        data: dict[str, Any] = {"rollout_id": rollout_id, "started": started, "beat": now, "silence": silence}
        if config.timeout_seconds is not None:
            # The runner times its agent out itself; this is for one that hangs or is gone, and leaves it the time to.
            data["until"] = started + int((config.timeout_seconds + 5.0) * 1e9)
        deadline = now + silence
        view.in_flight.put(
            "lease",
            attempt_id,
            owner=owner or self.owner,
            deadline=min(deadline, data.get("until", deadline)),
            data=data,
        )


def begin(
    view: View, rollout: Standing, worker_id: str, leases: Leases, *, again: AttemptStarted | None = None
) -> Draft:
    """One more attempt, under a lease; with the id and the number of one that it does `again`."""
    attempt_id, sequence = (again.attempt_id, again.sequence) if again else (new_id("at"), rollout.attempts + 1)
    leases.put(view, rollout.id, attempt_id, rollout.config, started=leases.clock.now())
    return rollout.draft(
        AttemptStarted(
            rollout_id=rollout.id, attempt_id=attempt_id, sequence=sequence, worker_id=worker_id, token=sequence
        )
    )


def finish(view: View, rollout_id: str, attempt_id: str, exit_status: ExitStatus, error: str | None) -> list[Draft]:
    """Settle an attempt whose lease is still held; otherwise remember that its result came too late."""
    rollout = find(view, rollout_id, attempt_id)
    held = view.in_flight.drop("lease", attempt_id)
    late = not held or rollout.status in FINISHED
    event = AttemptFinished(
        rollout_id=rollout_id, attempt_id=attempt_id, exit_status=exit_status, error=error, late=late
    )
    return [rollout.draft(event)] if late else [rollout.draft(event), *settle(view, rollout, attempt_id, exit_status)]


def renew(view: View, leases: Leases) -> list[Draft]:
    """Move on this process's leases that are due, so many at once that no writer waits long for it.

    Not those already passed, nor any past its attempt's time-out.
    """
    view.in_flight.renew("lease", leases.owner, now=leases.clock.now(), before=leases.renewal())
    return []


def expire(view: View, leases: Leases, *, dead: Collection[Owner] = ()) -> list[Draft]:
    """End the leases that ran out, and those that `dead` processes held. What others hold is not looked at."""
    now = leases.clock.now()
    lost = {flight.id: flight for owner in dead for flight in view.in_flight.held_by("lease", owner)}
    overdue = [flight for flight in view.in_flight.overdue("lease", now) if flight.id not in lost]
    drafts: list[Draft] = []
    for flight in [*overdue, *lost.values()]:
        view.in_flight.drop("lease", flight.id)
        rollout = find(view, flight.data["rollout_id"])
        if rollout.status in FINISHED:
            continue
        exit_status, why = _explained(flight, rollout.config, now, is_dead=flight.id in lost)
        drafts.append(expired(rollout, flight.id, exit_status, why))
        drafts += settle(view, rollout, flight.id, exit_status)
    return drafts


def _explained(flight: Flight, config: RolloutConfig, now: int, *, is_dead: bool) -> tuple[ExitStatus, str]:
    process, timeout = f"process {flight.owner.pid} on {flight.owner.host}", config.timeout_seconds
    if is_dead:
        return "worker_lost", f"{process} is dead"
    if timeout is not None and now > flight.data["started"] + int(timeout * 1e9):
        return "timeout", f"it took longer than {timeout:g} s, and its worker did not end it"
    return "unresponsive", f"no sign of life from {process}"


def expired(rollout: Standing, attempt_id: str, exit_status: ExitStatus, why: str) -> Draft:
    """The lease is gone; said once for each."""
    event = AttemptExpired(rollout_id=rollout.id, attempt_id=attempt_id, exit_status=exit_status, why=why)
    return rollout.draft(event, key=f"expire/{attempt_id}")


def lose(view: View, rollout: Standing, why: str) -> list[Draft]:
    """The attempt under way, if there is one, does not count any more; the rollout waits again, and loses no try."""
    if rollout.attempt_id is None or not view.in_flight.drop("lease", rollout.attempt_id):
        return []
    return [expired(rollout, rollout.attempt_id, "worker_lost", why)]


def give_back(view: View, attempts: Sequence[AttemptStarted]) -> list[Draft]:
    """Attempts that were claimed and never begun go back to the queue, at no cost to them."""
    return [
        expired(find(view, started.rollout_id), started.attempt_id, "worker_lost", "its worker stopped before it began")
        for started in attempts
        if view.in_flight.drop("lease", started.attempt_id)
    ]


def cancel(view: View, rollout_id: str, why: str) -> list[Draft]:
    """Call it off, unless it is settled."""
    rollout = find(view, rollout_id)
    if rollout.status in FINISHED:
        return []
    if rollout.attempt_id:
        view.in_flight.drop("lease", rollout.attempt_id)
    return [rollout.draft(RolloutCancelled(rollout_id=rollout_id, why=why))]


def settle(view: View, rollout: Standing, attempt_id: str, exit_status: ExitStatus) -> list[Draft]:
    """Finished, unless it is tried again: then the projection puts it back into the queue."""
    others = view.rows(_EXITS, (rollout.id, attempt_id)) if rollout.attempts > 1 else []
    if is_tried_again([*(status for (status,) in others), exit_status], rollout.config):
        return []
    return [finished(rollout, attempt_id, exit_status)]


def finished(rollout: Standing, attempt_id: str, exit_status: ExitStatus) -> Draft:
    """No further attempt, whatever was allowed."""
    status = "succeeded" if exit_to_status(exit_status) == "succeeded" else "failed"
    return rollout.draft(
        RolloutFinished(
            rollout_id=rollout.id,
            status=status,  # type: ignore[arg-type]  # the two words it can be
            exit_status=exit_status,
            attempt_id=attempt_id,
        )
    )


_EXITS = (
    "select exit_status from attempts "
    "where rollout_id = ? and attempt_id <> ? and exit_status is not null order by sequence"
)


def is_tried_again(exits: Sequence[str], config: RolloutConfig) -> bool:
    """Whether there is one more attempt after those, which ended so."""
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
