"""What somebody changes is a fact, and what has ended stays as it ended."""

import pytest

from agl_core.errors import AlreadySettled, BadValue, LeaseLost, UnknownId
from agl_core.events import RolloutConfig
from agl_core.log import verify
from agl_core.resources import PromptTemplate
from agl_core.store import EnqueueRolloutRequest

pytestmark = pytest.mark.anyio


def types(log, rollout_id):
    """What happened to a rollout."""
    return [record.event.type for record in log.read(stream=f"rollout/{rollout_id}")]


# --- a rollout


async def test_what_waits_can_be_changed(store, log):
    """All that was asked for, in one fact; what is left out stays."""
    first = await store.add_resources({"p": PromptTemplate("a")})
    second = await store.add_resources({"p": PromptTemplate("b")})
    rollout = await store.enqueue_rollout({"q": 1}, "train", first.resources_id, metadata={"k": 1})

    changed = await store.update_rollout(
        rollout.rollout_id, {"q": 2}, "val", second.resources_id, config=RolloutConfig(max_attempts=2)
    )

    assert (changed.input, changed.mode, changed.resources_id) == ({"q": 2}, "val", second.resources_id)
    assert (changed.config.max_attempts, changed.metadata) == (2, {"k": 1})
    assert changed.task_id != rollout.task_id
    assert types(log, rollout.rollout_id) == ["rollout.enqueued", "rollout.updated"]
    assert (await store.dequeue_rollout()).input == {"q": 2}
    (trace,) = store.ask.traces([rollout.rollout_id])
    assert (trace.input, trace.mode, trace.task_id) == ({"q": 2}, "val", changed.task_id)
    assert list(verify(log)) == []


async def test_none_is_a_value(store):
    """And not the same as leaving it out."""
    await store.add_resources({"p": PromptTemplate("a")})
    rollout = await store.enqueue_rollout(1, "train", metadata={"k": 1})

    changed = await store.update_rollout(rollout.rollout_id, None, None, None, metadata=None)

    assert (changed.input, changed.mode, changed.resources_id, changed.metadata) == (None, None, None, {})


async def test_what_an_attempt_works_on_stays(store):
    """Its configuration may change, and its metadata; a settled one keeps all but the metadata."""
    one = await store.start_rollout({"q": 1})

    with pytest.raises(BadValue, match="waits in the queue"):
        await store.update_rollout(one.rollout_id, {"q": 2})
    await store.update_rollout(one.rollout_id, config=RolloutConfig(max_attempts=5), metadata={"k": 1})
    await store.finish_attempt(one.attempt, "completed")
    with pytest.raises(AlreadySettled):
        await store.update_rollout(one.rollout_id, config=RolloutConfig())
    noted = await store.update_rollout(one.rollout_id, metadata={"k": 2})

    assert (noted.config.max_attempts, noted.metadata, noted.status) == (5, {"k": 2}, "succeeded")


async def test_a_new_time_out_holds_for_the_attempt_under_way(store, clock, expire):
    """From its start on."""
    one = await store.start_rollout({"q": 1})

    await store.update_rollout(one.rollout_id, config=RolloutConfig(timeout_seconds=10.0))
    clock.advance(15.1)
    expire()

    assert (await store.get_rollout_by_id(one.rollout_id)).exit_status == "timeout"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"mode": "training"}, BadValue),
        ({"resources_id": "rs-none"}, UnknownId),
        ({"input": object()}, BadValue),
        ({"status": "queueing"}, BadValue),
        ({"status": "running"}, BadValue),
        ({"status": "succeeded"}, BadValue),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(store, log, changes, error):
    """And with it all that came in the same call."""
    rollout = await store.enqueue_rollout(1)
    head = log.head()

    with pytest.raises(error):
        await store.update_rollout(rollout.rollout_id, metadata={"k": 1}, **changes)

    assert log.head() == head


@pytest.mark.parametrize(
    ("status", "facts", "exit_status"),
    [
        ("cancelled", ["rollout.cancelled"], None),
        ("succeeded", ["attempt.finished", "rollout.finished"], "completed"),
        ("failed", ["attempt.finished", "rollout.finished"], "agent_raised"),
        ("requeuing", ["attempt.expired"], None),
        ("preparing", [], None),
    ],
)
async def test_a_status_becomes_the_facts_it_stands_for(store, log, status, facts, exit_status):
    """Of one that an attempt works on."""
    one = await store.start_rollout(1, config=RolloutConfig(max_attempts=3))

    moved = await store.update_rollout(one.rollout_id, status=status)

    assert types(log, one.rollout_id)[2:] == facts
    assert (moved.status, moved.exit_status) == (status, exit_status)
    assert list(verify(log)) == []


@pytest.mark.parametrize("end", ["cancelled", "succeeded", "failed"])
async def test_an_end_is_final(store, log, end):
    """No other status comes after it, no attempt, no result; the same one again is no news."""
    one = await store.start_rollout(1, config=RolloutConfig(max_attempts=3))
    settled = await store.update_rollout(one.rollout_id, status=end)
    head = log.head()

    for status in {"cancelled", "succeeded", "failed", "queuing", "running"} - {end}:
        with pytest.raises(AlreadySettled, match="final"):
            await store.update_rollout(one.rollout_id, status=status)
    with pytest.raises(AlreadySettled):
        await store.start_attempt(one.rollout_id)
    assert await store.update_rollout(one.rollout_id, status=end) == settled
    assert log.head() == head


# --- an attempt


@pytest.mark.parametrize(
    ("status", "exit_status", "is_retried"),
    [
        ("succeeded", "completed", False),
        ("failed", "agent_raised", True),
        ("timeout", "timeout", False),
        ("unresponsive", "unresponsive", True),
    ],
)
async def test_the_end_of_an_attempt_is_written_as_what_it_is(store, status, exit_status, is_retried):
    """And the rollout goes on as if its worker had said so."""
    one = await store.start_rollout(1, config=RolloutConfig(max_attempts=2))

    attempt = await store.update_attempt(one.rollout_id, "latest", status)

    rollout = await store.get_rollout_by_id(one.rollout_id)
    assert (attempt.status, attempt.exit_status, attempt.end_time is not None) == (status, exit_status, True)
    assert (rollout.status == "requeuing") is is_retried


async def test_an_end_that_comes_late_is_kept_and_refused(store, log, clock, expire):
    """It is a fact that it came; and whoever sent it hears that it does not count."""
    one = await store.start_rollout(1)
    clock.advance(31)
    expire()

    with pytest.raises(LeaseLost):
        await store.update_attempt(one.rollout_id, one.attempt_id, "succeeded")

    assert [record.event.late for record in log.read(types=["attempt.finished"])] == [True]
    assert (await store.get_rollout_by_id(one.rollout_id)).status == "failed"
    with pytest.raises(AlreadySettled):
        await store.update_attempt(one.rollout_id, one.attempt_id, "timeout")
    assert (await store.update_attempt(one.rollout_id, one.attempt_id, "unresponsive")).status == "unresponsive"


async def test_an_attempt_says_who_is_at_it_and_what_they_know(store):
    """In one fact; `running` is one too."""
    one = await store.start_rollout(1, worker_id="wk-1")

    changed = await store.update_attempt(one.rollout_id, "latest", "running", "wk-2", metadata={"k": 1})

    assert (changed.status, changed.worker_id, changed.metadata) == ("running", "wk-2", {"k": 1})
    assert (await store.get_rollout_by_id(one.rollout_id)).status == "running"
    with pytest.raises(BadValue):
        await store.update_attempt(one.rollout_id, "latest", "preparing")


async def test_a_heartbeat_renews_the_lease(store, log, clock, expire):
    """Of an attempt that has one; it writes no fact, and revives nothing."""
    one = await store.start_rollout(1)
    head = log.head()

    for _ in range(3):
        clock.advance(20)
        beat = await store.update_attempt(one.rollout_id, "latest", last_heartbeat_time=0.0)
        expire()
    clock.advance(31)
    await store.update_attempt(one.rollout_id, "latest", last_heartbeat_time=0.0)
    expire()

    assert beat.last_heartbeat_time == one.attempt.start_time + 60
    assert log.head() == head + 2
    ended = await store.get_latest_attempt(one.rollout_id)
    assert (ended.status, ended.last_heartbeat_time) == ("unresponsive", None)


async def test_attempts_of_nobody_are_refused(store):
    """Also the latest of one that has none."""
    waiting = await store.enqueue_rollout(1)

    for ids in (("ro-none", "latest"), (waiting.rollout_id, "at-none")):
        with pytest.raises(UnknownId):
            await store.update_attempt(*ids, "running")
    with pytest.raises(BadValue, match="no attempt yet"):
        await store.update_attempt(waiting.rollout_id, "latest", "running")


# --- another try


async def test_another_try_may_be_asked_for(store, log):
    """Whatever `max_attempts` says; the one under way is fenced off."""
    one = await store.start_rollout(1, worker_id="wk-1")

    two = await store.start_attempt(one.rollout_id, "wk-2")
    late = await store.finish_attempt(one.attempt, "completed")
    counted = await store.finish_attempt(two.attempt, "gave_up")

    assert (two.attempt.sequence_id, two.attempt.worker_id, two.attempt.token) == (2, "wk-2", 2)
    assert (late.late, counted.late) == (True, False)
    assert (await store.get_rollout_by_id(one.rollout_id)).exit_status == "gave_up"
    assert log.rows("select * from in_flight where kind = 'lease'") == []


async def test_a_try_takes_what_waits_out_of_the_queue(store):
    """Nobody gets it twice."""
    waiting = await store.enqueue_rollout(1)

    taken = await store.start_attempt(waiting.rollout_id)

    assert taken.attempt.sequence_id == 1
    assert await store.dequeue_rollout() is None
    with pytest.raises(UnknownId):
        await store.start_attempt("ro-none")


async def test_many_are_taken_at_once(store):
    """In their order, each under its own lease; fewer when there are fewer."""
    ids = await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(5)])

    three = await store.dequeue_many_rollouts(limit=3, worker_id="wk-1")
    two = await store.dequeue_many_rollouts(limit=3)

    assert [one.rollout_id for one in [*three, *two]] == ids
    assert {one.attempt.worker_id for one in three} == {"wk-1"}
    assert len({one.attempt_id for one in three}) == 3
    assert await store.dequeue_many_rollouts(limit=9) == []
    with pytest.raises(BadValue):
        await store.dequeue_many_rollouts(limit=0)
