"""All waiting is by push: no poll, no thread, and nothing is lost with who gives up."""

import asyncio
import random
import threading

import pytest

from agl_core.errors import UnknownId
from agl_core.events import RolloutCancelled
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import EnqueueRolloutRequest, Store

pytestmark = pytest.mark.anyio
PATIENCE = 30.0


async def test_a_worker_wakes_when_something_is_enqueued(store):
    """It waited before there was anything."""
    waiting = asyncio.create_task(store.dequeue_rollout("wk-1", timeout=PATIENCE))
    await asyncio.sleep(0)

    enqueued = await store.enqueue_rollout({"q": 1})

    taken = await waiting
    assert taken.rollout_id == enqueued.rollout_id
    assert taken.attempt.worker_id == "wk-1"


async def test_a_worker_wakes_when_another_process_enqueues(store, other):
    """Without being told by anything but the file."""
    child = other('sys.stdin.readline()\nprint(asyncio.run(store.enqueue_rollout({"q": 1})).rollout_id, flush=True)')
    waiting = asyncio.create_task(store.dequeue_rollout(timeout=PATIENCE))
    await asyncio.sleep(0)

    child.tell()

    taken = await waiting
    assert taken.rollout_id == child.says()


async def test_who_waits_for_the_end_wakes_when_another_process_brings_it(store, other):
    """Claimed and finished elsewhere."""
    child = other(
        "async def work():\n"
        "    taken = await store.dequeue_rollout(timeout=30)\n"
        '    await store.finish_attempt(taken.attempt, "completed")\n'
        "asyncio.run(work())"
    )
    rollout = await store.enqueue_rollout({"q": 1})

    (ended,) = await store.wait_for_rollouts(rollout_ids=[rollout.rollout_id], timeout=PATIENCE)

    assert ended.status == "succeeded"
    assert child.process.wait(PATIENCE) == 0


async def test_waiting_for_ten_thousand_costs_no_thread(store):
    """And ends when the last of them does."""
    ids = await store.enqueue([EnqueueRolloutRequest(input=0) for _ in range(10_000)])
    assert await store.wait(ids[:1], timeout=0) is False  # the one thread that follows the log is there from now on
    before = threading.active_count()
    waits = [asyncio.create_task(store.wait(ids)) for _ in range(3)]
    await asyncio.sleep(0)

    assert threading.active_count() == before
    store.log.append([Draft(stream=f"rollout/{id_}", event=RolloutCancelled(rollout_id=id_)) for id_ in ids])

    assert await asyncio.gather(*waits) == [True, True, True]


async def test_progress_is_told(store):
    """How many are settled, up to all."""
    ids = await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(3)])
    told = []
    waiting = asyncio.create_task(store.wait(ids, progress=told.append))
    await asyncio.sleep(0)

    for rollout_id in ids:
        await store.cancel_rollout(rollout_id)

    assert await waiting
    assert told[-1] == 3
    assert told == sorted(told)


async def test_a_time_out_gives_those_that_are_settled(store):
    """The others are not made up."""
    done, open_ = await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(2)])
    await store.cancel_rollout(done)

    ended = await store.wait_for_rollouts(rollout_ids=[done, open_], timeout=0.01)

    assert [rollout.rollout_id for rollout in ended] == [done]


async def test_who_gave_up_waiting_is_forgotten(store):
    """Waiting with a time-out again and again keeps nothing."""
    ids = await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(100)])

    for _ in range(3):
        assert await store.wait(ids, timeout=0.001) is False

    assert store._ends._open == {}


async def test_waiting_for_nothing_is_done_at_once(store):
    """An empty batch has ended."""
    assert await store.wait([])
    assert await store.wait_for_rollouts(rollout_ids=[]) == []


async def test_waiting_for_an_id_that_is_none_is_refused(store):
    """It would never end."""
    with pytest.raises(UnknownId):
        await store.wait_for_rollouts(rollout_ids=["ro-none"])


async def test_an_end_that_came_before_is_an_end(store):
    """Nobody has to wait for what has happened."""
    rollout = await store.enqueue_rollout(1)
    await store.cancel_rollout(rollout.rollout_id)

    assert await store.wait([rollout.rollout_id, rollout.rollout_id])


async def test_each_worker_gets_a_rollout_of_its_own(store):
    """Under its own name, in the order they asked."""
    waits = [asyncio.create_task(store.dequeue_rollout(f"wk-{n}", timeout=PATIENCE)) for n in range(20)]
    await asyncio.sleep(0)

    ids = await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(20)])

    taken = await asyncio.gather(*waits)
    assert [one.rollout_id for one in taken] == ids
    assert [one.attempt.worker_id for one in taken] == [f"wk-{n}" for n in range(20)]


@pytest.mark.parametrize("timeout", [0.0, 0.002, PATIENCE], ids=["at once", "soon", "patient"])
async def test_a_worker_that_gives_up_loses_no_rollout(store, timeout):
    """Whenever it is cancelled, what was claimed for it goes back to the queue, and costs no try."""
    chance = random.Random(7)
    ids = set(await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(30)]))
    taken = []

    for _ in range(60):
        task = asyncio.create_task(store.dequeue_rollout(timeout=timeout))
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        task.cancel()
        try:
            taken.append(await task)
        except asyncio.CancelledError:
            continue
    while len([one for one in taken if one]) < len(ids):
        taken.append(await store.dequeue_rollout(timeout=PATIENCE))

    assert {one.rollout_id for one in taken if one} == ids
    assert store.ask.finished(list(ids)) == set()


async def test_many_workers_that_come_and_go_get_everything_once(store):
    """Waiters with short patience, while rollouts trickle in."""
    chance = random.Random(11)
    taken = []

    async def work(name):
        while len(taken) < 100:
            one = await store.dequeue_rollout(name, timeout=chance.choice([0.0, 0.001, 0.01]))
            if one is not None:
                taken.append(one)

    workers = [asyncio.create_task(work(f"wk-{n}")) for n in range(8)]
    ids = []
    for _ in range(20):
        ids += await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(5)])
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*workers)

    assert sorted(one.rollout_id for one in taken) == sorted(ids)


async def test_who_waits_when_the_store_closes_gets_nothing(log):
    """And does not wait for ever."""
    store = Store(log)
    waiting = asyncio.create_task(store.dequeue_rollout(timeout=None))
    await asyncio.sleep(0)

    store.close()

    assert await waiting is None


async def test_a_store_that_only_reads_can_wait(store, log):
    """For what others bring to an end."""
    rollout = await store.enqueue_rollout(1)
    with SqliteLog(log.path, projections=CORE, readonly=True) as readonly:
        reader = Store(readonly)
        waiting = asyncio.create_task(reader.wait([rollout.rollout_id], timeout=PATIENCE))
        await asyncio.sleep(0)

        await store.cancel_rollout(rollout.rollout_id)

        assert await waiting
        reader.close()


async def test_a_time_out_of_nothing_asks_how_things_stand(store):
    """At once, also when all have ended."""
    done, open_ = await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(2)])
    await store.cancel_rollout(done)

    assert await store.wait([done], timeout=0) is True
    assert await store.wait([done, open_], timeout=0) is False
    assert [one.rollout_id for one in await store.wait_for_rollouts(rollout_ids=[done, open_], timeout=0)] == [done]
