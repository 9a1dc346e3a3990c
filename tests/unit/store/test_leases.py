"""An attempt is a lease: it ends when its holder is silent, too slow, or dead; and what comes later never counts."""

import asyncio
import threading
from dataclasses import replace

import pytest

from agl_core.errors import RunHeld
from agl_core.events import AttemptExpired, CallRecorded, RolloutConfig
from agl_core.log import Owner, SqliteLog, _in_flight, copy, is_alive, verify
from agl_core.projections import CORE
from agl_core.store import EnqueueRolloutRequest, Store, _decisions, _keeper

pytestmark = pytest.mark.anyio
PATIENCE = 30.0


async def taken(store, **config):
    """A rollout under way."""
    await store.enqueue_rollout({"q": 1}, config=RolloutConfig(**config))
    return await store.dequeue_rollout("wk-1")


async def test_a_silent_worker_loses_its_lease(store, clock, expire):
    """After the lease's time, not before."""
    one = await taken(store)

    clock.advance(29.9)
    expire()
    before = await store.get_rollout_by_id(one.rollout_id)
    clock.advance(0.2)
    expire()

    after = await store.get_rollout_by_id(one.rollout_id)
    assert before.status == "preparing"
    assert (after.status, after.exit_status) == ("failed", "unresponsive")
    assert after.attempt.end_time is not None


@pytest.mark.parametrize(
    ("config", "seconds", "exit_status"),
    [
        ({"unresponsive_seconds": 5.0}, 5.1, "unresponsive"),
        ({"timeout_seconds": 10.0}, 15.1, "timeout"),
        ({"timeout_seconds": 100.0}, 30.1, "unresponsive"),
    ],
)
async def test_a_lease_is_as_long_as_its_rollout_says(store, clock, expire, config, seconds, exit_status):
    """A runner that times its agent out has five seconds to say so."""
    one = await taken(store, **config)

    clock.advance(seconds - 0.2)
    expire()
    assert (await store.get_rollout_by_id(one.rollout_id)).status == "preparing"
    clock.advance(0.2)
    expire()

    assert (await store.get_rollout_by_id(one.rollout_id)).exit_status == exit_status


async def test_a_renewed_lease_lives_on_but_not_past_its_time_out(store, log, clock, expire):
    """A heart that beats does not excuse an agent that hangs."""
    one = await taken(store, timeout_seconds=60.0)

    for _ in range(3):
        clock.advance(20)
        log.transact(lambda view: _decisions.renew(view, store._leases))
        expire()
    alive = await store.get_rollout_by_id(one.rollout_id)
    clock.advance(5.1)
    log.transact(lambda view: _decisions.renew(view, store._leases))
    expire()

    assert alive.status == "preparing"
    assert (await store.get_rollout_by_id(one.rollout_id)).exit_status == "timeout"


async def test_the_keeper_ends_leases_by_itself(log, clock, monkeypatch):
    """No traffic is needed for a time-out to be noticed."""
    monkeypatch.setattr(_keeper, "_TICK", 0.01)
    store = Store(log, clock=clock)
    one = await taken(store, timeout_seconds=1.0)

    clock.advance(7)

    (ended,) = await store.wait_for_rollouts(rollout_ids=[one.rollout_id], timeout=PATIENCE)
    assert ended.exit_status == "timeout"
    store.close()


async def test_many_leases_are_renewed_a_stretch_at_a_time(log, clock, monkeypatch):
    """Nobody who writes waits for all of them."""
    monkeypatch.setattr(_keeper, "_TICK", 0.01)
    stretches, all_of_them, renew = [], threading.Event(), _keeper.renew

    def seen(view, leases):
        due = view.rows("select count(*) from in_flight where kind = 'lease' and deadline < ?", (leases.renewal(),))
        stretches.append(due[0][0])
        drafts = renew(view, leases)
        left = view.rows("select count(*) from in_flight where kind = 'lease' and deadline < ?", (leases.renewal(),))
        stretches[-1] -= left[0][0]
        if left == [(0,)]:
            all_of_them.set()
        return drafts

    monkeypatch.setattr(_keeper, "renew", seen)
    store = Store(log, clock=clock)
    await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(2300)])
    await store.dequeue_many_rollouts(limit=2300)

    clock.advance(15)

    assert all_of_them.wait(PATIENCE)
    assert stretches == [1000, 1000, 300]
    store.close()


async def test_only_leases_that_ran_out_are_looked_at(store, log, clock, expire, monkeypatch):
    """However many are held."""
    looked_at = []
    monkeypatch.setattr(
        _in_flight, "_flight", lambda row, flight=_in_flight._flight: looked_at.append(row) or flight(row)
    )
    await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(300)])
    await store.dequeue_many_rollouts(limit=300)
    brief = await store.start_rollout(1, config=RolloutConfig(unresponsive_seconds=5.0))
    looked_at.clear()

    clock.advance(5.1)
    expire()

    assert [row[1] for row in looked_at] == [brief.attempt_id]
    assert log.rows("select count(*) from in_flight where kind = 'lease'") == [(300,)]


async def test_leases_that_are_due_are_renewed_in_one_go(store, log, clock):
    """By an index; those that are fresh, that ran out, or that others hold, are left as they are."""
    brief, fresh = [await store.start_rollout(1, config=RolloutConfig(unresponsive_seconds=s)) for s in (5.0, None)]
    others = Owner("elsewhere", "boot", 1, "1")
    foreign = await store.start_rollout(1)
    log.transact(
        lambda view: view.in_flight.put("lease", foreign.attempt_id, owner=others, deadline=clock.now() + 1) or []
    )
    ended = await store.start_rollout(1)
    log.transact(lambda view: view.in_flight.put("lease", ended.attempt_id, owner=Owner.me(), deadline=1) or [])
    before = dict(log.rows("select id, deadline from in_flight where kind = 'lease'"))

    log.transact(lambda view: _decisions.renew(view, store._leases))
    clock.advance(1)
    log.transact(lambda view: _decisions.renew(view, store._leases))

    after = dict(log.rows("select id, deadline from in_flight where kind = 'lease'"))
    assert {id_: after[id_] - before[id_] for id_ in after} == {
        brief.attempt_id: 10**9,
        fresh.attempt_id: 0,
        foreign.attempt_id: 0,
        ended.attempt_id: 0,
    }


async def test_a_silence_shorter_than_a_look_is_allowed(store, clock, expire):
    """Leases are looked after once a second: one that is shorter would end under a living worker."""
    one = await taken(store, unresponsive_seconds=0.2)

    clock.advance(2.9)
    expire()

    assert (await store.get_rollout_by_id(one.rollout_id)).status == "preparing"


async def test_a_late_result_is_kept_and_never_counts(store, log, clock, expire):
    """The rollout has been given to another, who decides how it ends."""
    first = await taken(store, max_attempts=2, retry_condition=("unresponsive",))
    clock.advance(31)
    expire()
    second = await store.dequeue_rollout("wk-2")

    late = await store.finish_attempt(first.attempt, "completed")
    await store.finish_attempt(second.attempt, "gave_up")

    rollout = await store.get_rollout_by_id(first.rollout_id)
    assert late.late is True
    assert (rollout.exit_status, rollout.attempt_id) == ("gave_up", second.attempt_id)
    assert [one.exit_status for one in await store.query_attempts(first.rollout_id)] == ["unresponsive", "gave_up"]
    assert list(verify(log)) == []


async def test_a_result_told_twice_counts_once(store):
    """The second is late."""
    one = await taken(store)

    told = [(await store.finish_attempt(one.attempt, status)).late for status in ("completed", "agent_raised")]

    assert told == [False, True]
    assert (await store.get_rollout_by_id(one.rollout_id)).status == "succeeded"


async def test_a_cancelled_rollout_stays_cancelled(store):
    """Its attempt is ended too, and its worker is free."""
    await store.join(["wk-1"])
    one = await taken(store)

    await store.cancel_rollout(one.rollout_id, "enough")
    late = await store.finish_attempt(one.attempt, "completed")

    rollout = await store.get_rollout_by_id(one.rollout_id)
    (worker,) = await store.query_workers()
    assert late.late is True
    assert rollout.status == "cancelled"
    assert (rollout.attempt.status, rollout.attempt.error) == ("failed", "cancelled: enough")
    assert rollout.attempt.end_time is not None
    assert worker.status == "idle"


@pytest.mark.parametrize(
    ("exit_status", "condition", "is_retried"),
    [
        ("agent_raised", (), True),
        ("endpoint_down", (), True),
        ("tool_failed", (), True),
        ("unresponsive", (), True),
        ("timeout", (), False),
        ("prompt_too_long", (), False),
        ("completed", (), False),
        ("gave_up", (), False),
        ("gave_up", ("gave_up",), True),
        ("timeout", ("timeout",), True),
        ("agent_raised", ("timeout",), False),
        ("agent_raised", ("failed",), True),
        ("tool_failed", ("failed",), True),
        ("prompt_too_long", ("failed",), False),
        ("timeout", ("failed",), False),
        ("stalled", ("timeout",), True),
        ("stalled", ("infrastructure",), True),
        ("worker_lost", ("timeout",), True),
    ],
)
async def test_what_is_tried_again(store, exit_status, condition, is_retried):
    """The policy's own outcomes only when they are asked for; a dead worker always."""
    one = await taken(store, max_attempts=2, retry_condition=condition)

    await store.finish_attempt(one.attempt, exit_status)

    rollout = await store.get_rollout_by_id(one.rollout_id)
    assert (rollout.status == "requeuing") is is_retried
    assert (await store.dequeue_rollout() is not None) is is_retried


@pytest.mark.parametrize("max_attempts", [1, 3, 12])
async def test_no_more_tries_than_allowed(store, max_attempts):
    """And no fewer."""
    one = await taken(store, max_attempts=max_attempts)
    tries = 0
    while one is not None:
        tries += 1
        await store.finish_attempt(one.attempt, "agent_raised")
        one = await store.dequeue_rollout()

    assert tries == max_attempts


async def test_a_task_that_kills_its_workers_is_given_up(store):
    """A dead worker costs no try; ten of them are enough."""
    one = await taken(store)
    tries = 0
    while one is not None:
        tries += 1
        await store.finish_attempt(one.attempt, "worker_lost")
        rollout_id, one = one.rollout_id, await store.dequeue_rollout()

    assert tries == 10
    assert (await store.get_rollout_by_id(rollout_id)).status == "failed"


async def test_what_comes_back_keeps_its_place_in_the_queue(store):
    """Before those that were enqueued after it."""
    first = await taken(store, max_attempts=2)
    await store.enqueue_rollout({"q": 2})

    await store.finish_attempt(first.attempt, "agent_raised")

    assert (await store.dequeue_rollout()).rollout_id == first.rollout_id


# --- other processes

_WORKER = """
from agl_core.events import ModelCall
async def work():
    taken = await store.dequeue_rollout("wk-child", timeout=30)
    def begun(view):
        ids = {"run_id": None, "rollout_id": taken.rollout_id, "attempt_id": taken.attempt_id}
        data = {**ids, "model": "m", "started": 7}
        view.in_flight.put("call", "ca-child", owner=store._leases.owner, data=data)
        return []
    log.transact(begun)
    print(taken.attempt_id, flush=True)
asyncio.run(work())
sys.stdin.readline()
"""


async def test_a_dead_process_loses_its_leases_at_once(store, log, other, clock):
    """Nobody waits for a time-out, and its calls are known to be unknown."""
    rollout = await store.enqueue_rollout({"q": 1}, config=RolloutConfig(max_attempts=2))
    child = other(_WORKER)
    attempt_id = await asyncio.to_thread(child.says)

    child.kill()
    second = Store(log, clock=clock)

    facts = [record.event for record in log.read(stream=f"rollout/{rollout.rollout_id}", after=2)]
    call = next(fact for fact in facts if isinstance(fact, CallRecorded))
    expired = next(fact for fact in facts if isinstance(fact, AttemptExpired))
    assert (call.call_id, call.status, call.attempt_id, call.call.model) == ("ca-child", "unknown", attempt_id, "m")
    assert (expired.attempt_id, expired.exit_status) == (attempt_id, "worker_lost")
    assert log.rows("select * from in_flight") == []
    again = await second.dequeue_rollout("wk-2")
    assert (again.rollout_id, again.attempt.sequence_id) == (rollout.rollout_id, 2)
    assert list(verify(log)) == []
    second.close()


async def test_a_living_process_keeps_its_leases(store, log, other, expire):
    """Others may look as often as they like."""
    rollout = await store.enqueue_rollout({"q": 1})
    child = other(_WORKER)
    await asyncio.to_thread(child.says)

    # Its clock is the system's and ours stands still, long ago: nothing is overdue here.
    expire()
    Store(log, clock=store._leases.clock).close()

    assert (await store.get_rollout_by_id(rollout.rollout_id)).status == "preparing"
    assert log.rows("select count(*) from in_flight") == [(2,)]


async def test_a_neighbour_that_dies_later_is_noticed(log, other, clock, monkeypatch):
    """By the keeper, which asks now and then who still lives."""
    monkeypatch.setattr(_keeper, "_TICK", 0.02)
    store = Store(log, clock=clock)
    rollout = await store.enqueue_rollout({"q": 1}, config=RolloutConfig())
    child = other(_WORKER)
    await asyncio.to_thread(child.says)
    waiting = asyncio.create_task(store.dequeue_rollout("wk-2", timeout=PATIENCE))

    child.kill()

    assert (await waiting).rollout_id == rollout.rollout_id
    store.close()


def test_a_process_is_told_apart_from_a_later_one_with_its_number():
    """By when it began, and by the machine's boot."""
    me = Owner.me()

    assert is_alive(me) is True
    assert is_alive(replace(me, started="1")) is False
    assert is_alive(replace(me, boot="another")) is False
    assert is_alive(replace(me, host="elsewhere")) is None
    assert Owner.parse(str(me)) == me


# --- runs


async def test_a_run_is_held_once(store, log, clock, other):
    """Until its holder lets go, or dies."""
    child = other('asyncio.run(store.hold_run("run-1"))\nprint("held", flush=True)\nsys.stdin.readline()')
    await asyncio.to_thread(child.says)

    with pytest.raises(RunHeld, match=f"process {child.process.pid}"):
        await store.hold_run("run-1")
    await store.release_run("run-1")  # not ours to release
    with pytest.raises(RunHeld):
        await store.hold_run("run-1")
    child.kill()
    await store.hold_run("run-1")

    await store.release_run("run-1")
    assert log.rows("select * from in_flight") == []


async def test_a_copy_of_a_log_gives_back_what_was_under_way(tmp_path):
    """Whoever holds it, holds it in the other file; and it is tried again, at no cost to it."""
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        store = Store(log)
        await store.enqueue([EnqueueRolloutRequest(input=number) for number in range(2)])
        taken = await store.dequeue_rollout()
        copy(log.path, tmp_path / "copy.db", projections=CORE)

        with SqliteLog(tmp_path / "copy.db", projections=CORE) as other:
            there = Store(other)
            again = await there.dequeue_rollout()
            there.close()
            assert (again.rollout_id, again.attempt.sequence_id) == (taken.rollout_id, 2)
            assert list(verify(other)) == []
        assert (await store.finish_attempt(taken.attempt, "completed")).late is False
        store.close()
