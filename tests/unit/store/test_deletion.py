"""Deleting hides a rollout from everything that lists and counts; its facts stay, and nothing brings it back."""

import asyncio

import pytest

from agl_core.errors import UnknownId
from agl_core.events import AttemptFinished, RolloutConfig, RolloutDeleted
from agl_core.log import verify
from agl_core.record import Draft

pytestmark = pytest.mark.anyio
PATIENCE = 30.0


def types(log, rollout_id):
    """What happened to a rollout."""
    return [record.event.type for record in log.read(stream=f"rollout/{rollout_id}")]


async def test_a_deleted_rollout_is_nowhere(store, log):
    """Not in a list, not in a total, not by its id; its facts stay."""
    kept, gone = [await store.start_rollout(n) for n in range(2)]
    await store.finish_attempt(gone.attempt, "completed")

    await store.delete_rollout(gone.rollout_id, "a mistake")
    await store.delete_rollout(gone.rollout_id)

    listed = await store.query_rollouts()
    assert [one.rollout_id for one in listed] == [kept.rollout_id]
    assert list(await store.query_rollouts(rollout_id_in=[gone.rollout_id])) == []
    assert list(await store.query_rollouts(status_in=["succeeded"], filter_logic="or")) == []
    for asked in (
        store.get_rollout_by_id(gone.rollout_id),
        store.get_latest_attempt(gone.rollout_id),
        store.query_attempts(gone.rollout_id),
        store.query_spans(gone.rollout_id),
        store.update_rollout(gone.rollout_id, metadata={}),
        store.update_attempt(gone.rollout_id, "latest", metadata={}),
        store.start_attempt(gone.rollout_id),
        store.wait_for_rollouts(rollout_ids=[gone.rollout_id]),
    ):
        with pytest.raises(UnknownId):
            await asked
    with pytest.raises(UnknownId):
        await store.delete_rollout("ro-none")
    assert (await store.statistics())["total_attempts"] == 1
    assert types(log, gone.rollout_id)[-1] == "rollout.deleted"
    assert types(log, gone.rollout_id).count("rollout.deleted") == 1
    assert list(verify(log)) == []


async def test_an_open_one_is_called_off_first(store, log):
    """Its lease is gone, its end comes late, and it never comes back."""
    one = await store.start_rollout(1, config=RolloutConfig(max_attempts=3))
    waiting = await store.enqueue_rollout(2)

    await store.delete_rollout(one.rollout_id)
    await store.delete_rollout(waiting.rollout_id)
    late = await store.finish_attempt(one.attempt, "agent_raised")

    assert late.late is True
    assert types(log, one.rollout_id)[2:] == ["rollout.cancelled", "rollout.deleted", "attempt.finished"]
    assert log.rows("select * from in_flight where kind = 'lease'") == []
    assert await store.dequeue_rollout() is None
    assert list(await store.query_rollouts()) == []


async def test_a_late_end_does_not_bring_a_hidden_one_back(store, log):
    """Even when somebody wrote its deletion past the store."""
    one = await store.start_rollout(1, config=RolloutConfig(max_attempts=3))
    log.append(
        [Draft(stream=f"rollout/{one.rollout_id}", event=RolloutDeleted(rollout_id=one.rollout_id))],
    )

    log.append(
        [
            Draft(
                stream=f"rollout/{one.rollout_id}",
                event=AttemptFinished(rollout_id=one.rollout_id, attempt_id=one.attempt_id, exit_status="agent_raised"),
            )
        ]
    )

    assert log.rows("select * from queue") == []
    assert list(await store.query_rollouts()) == []


async def test_who_waits_for_a_deleted_one_wakes(store):
    """It is left out of what came of it."""
    kept, gone = [await store.start_rollout(n) for n in range(2)]
    waiting = asyncio.create_task(
        store.wait_for_rollouts(rollout_ids=[kept.rollout_id, gone.rollout_id], timeout=PATIENCE)
    )
    await asyncio.sleep(0)

    await store.finish_attempt(kept.attempt, "completed")
    await store.delete_rollout(gone.rollout_id)

    assert [one.rollout_id for one in await waiting] == [kept.rollout_id]


async def test_a_deleted_one_still_tells_its_run_what_came_of_it(store):
    """A run that is resumed must hear what it heard before."""
    one = await store.start_rollout(1)
    await store.add_reward(one.rollout_id, 0.5, attempt_id=one.attempt_id)
    await store.finish_attempt(one.attempt, "completed")
    before = store.ask.outcomes([one.rollout_id])

    await store.delete_rollout(one.rollout_id)

    assert store.ask.outcomes([one.rollout_id]) == before
    assert await store.wait([one.rollout_id])
