"""Queries of the store, of a log as it was."""

import pytest

from agl_core.errors import BadValue, UnknownId
from agl_core.resources import PromptTemplate

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lived(store, log):
    """Two rollouts and two versions of a prompt; one was taken, scored and finished."""
    first = await store.add_resources({"prompt": PromptTemplate("Say {n}.")})
    rollouts = [await store.enqueue_rollout({"n": n}) for n in range(2)]
    before = log.head()
    taken = await store.dequeue_rollout("wk-1")
    busy = log.head()
    await store.add_reward(taken.rollout_id, 0.5, attempt_id=taken.attempt_id)
    await store.finish_attempt(taken.attempt, "completed")
    await store.update_resources(first.resources_id, {"prompt": PromptTemplate("Sing {n}.")})
    return first.resources_id, rollouts, before, busy


async def test_lists_are_as_they_were(store, lived):
    """Filters, totals and counts, too."""
    _, _, before, busy = lived

    assert [one.status for one in await store.query_rollouts(at=before)] == ["queuing", "queuing"]
    assert (await store.query_rollouts(status_in=["preparing"], limit=1, at=busy)).total == 1
    assert [one.status for one in await store.query_workers(at=busy)] == ["busy"]
    assert [one.version for one in await store.query_resources(at=busy)] == [1]
    assert (await store.statistics(at=before))["total_attempts"] == 0
    assert (await store.statistics())["total_attempts"] == 1


async def test_one_thing_is_as_it_was(store, lived):
    """A rollout, its attempts and spans, a version, a worker."""
    bundle, (first, _), before, busy = lived

    assert (await store.get_rollout_by_id(first.rollout_id, at=busy)).status == "preparing"
    assert (await store.get_rollout_by_id(first.rollout_id)).status == "succeeded"
    assert len(await store.query_attempts(first.rollout_id, at=before)) == 0
    assert await store.get_latest_attempt(first.rollout_id, at=before) is None
    assert len(await store.query_spans(first.rollout_id, "latest", at=busy)) == 0
    assert len(await store.query_spans(first.rollout_id, "latest")) == 1
    assert (await store.get_resources_by_id(bundle, at=busy)).version == 1
    assert (await store.get_latest_resources(at=before)).version == 1
    assert (await store.get_worker_by_id("wk-1", at=busy)).current_rollout_id == first.rollout_id


async def test_what_was_not_there_yet_is_unknown(store, log, lived):
    """And what has not happened cannot be asked for."""
    _, (first, second), *_ = lived
    enqueued = log.rows("select position from rollouts where rollout_id = ?", (second.rollout_id,))[0][0]

    with pytest.raises(UnknownId, match=second.rollout_id):
        await store.get_rollout_by_id(second.rollout_id, at=enqueued - 1)
    with pytest.raises(BadValue, match="surrogate"):
        await store.get_rollout_by_id("\ud800", at=1)
    with pytest.raises(BadValue, match=f"1 to {log.head()}"):
        await store.get_rollout_by_id(first.rollout_id, at=log.head() + 1)
