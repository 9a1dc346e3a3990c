"""Workers show what they are at, and the store what there is."""

import pytest

from agl_core.errors import UnknownId
from agl_core.resources import PromptTemplate

pytestmark = pytest.mark.anyio


async def test_a_worker_shows_what_it_is_at(store, clock, expire):
    """It joins with the first it takes; busy, idle, or unknown when its lease ran out."""
    told = []

    async def tell():
        worker = await store.get_worker_by_id("wk-1")
        told.append((worker.status, worker.current_attempt_id))

    await store.dequeue_rollout("wk-1")
    await tell()
    one = await store.start_rollout(1, worker_id="wk-1")
    await tell()
    await store.finish_attempt(one.attempt, "completed")
    await tell()
    two = await store.start_rollout(2, worker_id="wk-1")
    clock.advance(31)
    expire()
    await tell()

    assert told == [("idle", None), ("busy", one.attempt_id), ("idle", None), ("unknown", None)]
    worker = await store.get_worker_by_id("wk-1")
    assert worker.last_dequeue_time == worker.last_busy_time == two.attempt.start_time
    assert worker.last_idle_time == one.attempt.start_time


async def test_an_empty_queue_is_asked_without_a_trace(store, log):
    """Who polls it all day writes nothing."""
    await store.dequeue_rollout("wk-1")
    head = log.head()

    for _ in range(5):
        assert await store.dequeue_rollout("wk-1") is None
        assert await store.dequeue_rollout() is None

    assert log.head() == head


async def test_heartbeats_are_no_facts(store, log, clock):
    """The last one is kept, with what it said."""
    joined = await store.update_worker("wk-1", {"cpu": 0.5})
    head = log.head()
    clock.advance(5)
    beat = await store.update_worker("wk-1")

    assert joined.heartbeat_stats == beat.heartbeat_stats == {"cpu": 0.5}
    assert beat.last_heartbeat_time == joined.last_heartbeat_time + 5
    assert log.head() == head == 1
    await store.leave(["wk-1"])
    with pytest.raises(UnknownId):
        await store.get_worker_by_id("wk-1")


async def test_workers_are_listed_as_asked(store):
    """By status, by name, a page at a time."""
    await store.join([f"wk-{n}" for n in range(3)])
    await store.start_rollout(1, worker_id="wk-1")

    busy = await store.query_workers(status_in=["busy"])
    either = await store.query_workers(status_in=["busy"], worker_id_contains="2", filter_logic="or")
    page = await store.query_workers(sort_by="worker_id", sort_order="desc", limit=1, offset=1)

    assert [worker.worker_id for worker in busy] == ["wk-1"]
    assert [worker.worker_id for worker in either] == ["wk-1", "wk-2"]
    assert ([worker.worker_id for worker in page], page.total) == (["wk-1"], 3)


async def test_statistics_count(store):
    """And the store says what it can do."""
    await store.start_rollout(1, worker_id="wk-1")
    await store.add_resources({"p": PromptTemplate("a")})

    told = await store.statistics()

    assert {name: told[name] for name in told if name.startswith("total")} == {
        "total_rollouts": 1,
        "total_attempts": 1,
        "total_spans": 0,
        "total_resources": 1,
        "total_workers": 1,
    }
    assert told["name"] == "Store"
    assert store.capabilities["thread_safe"] is True
