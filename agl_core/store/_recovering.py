"""What the store decides about processes: who holds a run, and what the dead have left."""

from __future__ import annotations

from collections.abc import Collection

from agl_core.errors import RunHeld
from agl_core.events import CallRecorded, ModelCall
from agl_core.log import Owner, SqliteLog, View, is_alive
from agl_core.log._in_flight import COPIED
from agl_core.record import Draft, work_stream
from agl_core.store._decisions import expired, find

__all__ = ["dead", "hold", "orphans", "recover_calls", "release"]


def dead(log: SqliteLog) -> set[Owner]:
    """Processes of this host that hold something and live no more; what each of them holds is not looked at."""
    holders = (Owner.parse(text) for (text,) in log.rows(_HOLDERS))
    return {owner for owner in holders if is_alive(owner) is False}


# From one owner to the next: `select distinct` would walk every lease there is.
_HOLDERS = """
with recursive holders (owner) as (
  select min(owner) from in_flight
  union all
  select (select min(owner) from in_flight f where f.owner > holders.owner) from holders where owner is not null
)
select owner from holders
where exists (select 1 from in_flight f where f.owner = holders.owner and f.kind in ('lease', 'call'))
"""


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


def orphans(view: View) -> list[Draft]:
    """Attempts that were under way when the file was copied: whoever holds them, holds them there."""
    if not view.in_flight.drop(COPIED, "attempts"):
        return []
    open_ = view.rows("select rollout_id, attempt_id from rollouts where status in ('preparing', 'running')")
    why = "the log was copied while it was under way"
    return [expired(find(view, rollout_id), attempt_id, "worker_lost", why) for rollout_id, attempt_id in open_]


def recover_calls(view: View, gone: Collection[Owner]) -> list[Draft]:
    """Calls that dead processes had under way: nobody knows what came of them."""
    drafts = []
    for flight in (flight for owner in gone for flight in view.in_flight.held_by("call", owner)):
        view.in_flight.drop("call", flight.id)
        event = CallRecorded(
            call_id=flight.id,
            rollout_id=flight.data["rollout_id"],
            attempt_id=flight.data["attempt_id"],
            call=ModelCall(model=flight.data["model"]),
            role=flight.data.get("role", "policy"),
            status="unknown",
            error=f"process {flight.owner.pid} died during the call",
            started_at=flight.data["started"],
            latency=0.0,
            requests=flight.data.get("requests", 1),
        )
        drafts.append(
            Draft(
                stream=work_stream(event.rollout_id, flight.data.get("run_id")),
                event=event,
                key=f"call/{flight.id}",
                correlation_id=flight.data.get("run_id") or event.rollout_id,
            )
        )
    return drafts
