"""What Agent Lightning v0.3 got wrong and we get right, and what it left open and we decided: a test each."""

import asyncio
import logging
import threading

import pytest

import agl_core as agl
from agl_core.errors import AlreadySettled, BadValue, LeaseLost, UnknownId
from agl_core.events import RolloutConfig, SpanRecorded
from agl_core.resources import PromptTemplate
from agl_core.runner import Runner
from agl_core.store import EnqueueRolloutRequest

pytestmark = pytest.mark.anyio
PATIENCE = 30.0


def span(taken, span_id="sp-1", **fields):
    """A span of an attempt."""
    ids = {"rollout_id": taken.rollout_id, "attempt_id": taken.attempt_id, "span_id": span_id, "name": "tool"}
    return SpanRecorded(**{**ids, "started_at": 1, "ended_at": 2, **fields})


async def run(store, agent, task=None):
    """What comes of a task under a runner."""
    with Runner().run_context(agent=agent, store=store) as runner:
        return await runner.step({"q": 1} if task is None else task)


# --- faults


async def test_cancelling_the_runner_does_not_make_a_success(store):
    """v0.3: the task that was cancelled was written down as *succeeded*."""
    began = asyncio.Event()

    @agl.rollout
    async def slow(task):
        began.set()
        await asyncio.Event().wait()

    rollout = await store.enqueue_rollout({"q": 1})
    runner = Runner()
    with runner.run_context(agent=slow, store=store):
        working = asyncio.create_task(runner.iter())
        await began.wait()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    assert (await store.get_rollout_by_id(rollout.rollout_id)).status == "requeuing"


@pytest.mark.parametrize("end", ["cancelled", "failed", "timeout"])
async def test_a_late_success_changes_nothing(store, clock, expire, end):
    """v0.3: `update_attempt(succeeded)` made a cancelled, failed or timed-out rollout a success."""
    one = await store.start_rollout(1, config=RolloutConfig(timeout_seconds=10.0))
    if end == "timeout":
        clock.advance(16)
        expire()
    else:
        await store.update_rollout(one.rollout_id, status=end)
    before = await store.get_rollout_by_id(one.rollout_id)

    with pytest.raises(LeaseLost):
        await store.update_attempt(one.rollout_id, one.attempt_id, "succeeded")

    assert await store.get_rollout_by_id(one.rollout_id) == before


@pytest.mark.parametrize(
    ("config", "status"),
    [({"timeout_seconds": 10.0}, "timeout"), ({"unresponsive_seconds": 10.0}, "unresponsive")],
)
async def test_an_attempt_that_ran_out_has_an_end(store, clock, expire, config, status):
    """v0.3: its `end_time` stayed None."""
    one = await store.start_rollout(1, config=RolloutConfig(**config))

    clock.advance(16)
    expire()

    attempt = await store.get_latest_attempt(one.rollout_id)
    assert (attempt.status, attempt.end_time) == (status, one.start_time + 16)


async def test_a_late_span_revives_nothing(store, clock, expire):
    """v0.3: it set an unresponsive attempt back to running, and its rollout stayed failed."""
    one = await store.start_rollout(1)
    clock.advance(31)
    expire()

    await store.add_span(span(one))

    rollout = await store.get_rollout_by_id(one.rollout_id)
    assert (rollout.status, rollout.attempt.status) == ("failed", "unresponsive")


async def test_what_waits_again_has_no_end_and_is_waited_for(store):
    """v0.3: a rollout that was queued again kept its end, and who waited for it got nothing, at once."""
    one = await store.start_rollout(1, config=RolloutConfig(max_attempts=2))
    await store.finish_attempt(one.attempt, "agent_raised")
    between = await store.get_rollout_by_id(one.rollout_id)
    waiting = asyncio.create_task(store.wait_for_rollouts(rollout_ids=[one.rollout_id], timeout=PATIENCE))
    await asyncio.sleep(0)

    again = await store.dequeue_rollout()
    assert not waiting.done()
    await store.finish_attempt(again.attempt, "completed")

    assert (between.status, between.end_time) == ("requeuing", None)
    assert [rollout.status for rollout in await waiting] == ["succeeded"]


@pytest.mark.parametrize("status", ["queueing", "done", "", None])
async def test_a_status_nobody_knows_is_refused(store, status):
    """v0.3: a misspelt one matched nothing, without a word; its own code had `queueing`."""
    rollout = await store.enqueue_rollout(1)
    taken = await store.start_rollout(2)

    with pytest.raises(BadValue):
        await store.update_rollout(rollout.rollout_id, status=status)
    with pytest.raises(BadValue):
        await store.update_attempt(taken.rollout_id, "latest", status)
    with pytest.raises(BadValue):
        await store.query_rollouts(status_in=[status])
    with pytest.raises(BadValue):
        await store.query_workers(status_in=[status])


async def test_missing_resources_leave_nobody_behind(store, log):
    """v0.3: the rollout stayed in `preparing` for ever, and nothing said why."""
    with pytest.raises(UnknownId):
        await store.enqueue_rollout(1, resources_id="rs-none")

    assert log.head() == 0


async def test_unknown_ids_are_refused_everywhere(store, log):
    """v0.3: created some, answered others with nothing, with None, or with 1."""
    one = await store.start_rollout(1)
    head = log.head()
    for asked in (
        store.get_rollout_by_id("ro-none"),
        store.get_latest_attempt("ro-none"),
        store.get_resources_by_id("rs-none"),
        store.get_worker_by_id("wk-none"),
        store.query_attempts("ro-none"),
        store.query_spans("ro-none"),
        store.query_spans(one.rollout_id, "at-none"),
        store.wait_for_rollouts(rollout_ids=[one.rollout_id, "ro-none"], timeout=0),
        store.get_next_span_sequence_id("ro-none", one.attempt_id),
        store.get_next_span_sequence_id(one.rollout_id, "at-none"),
        store.get_many_span_sequence_ids([(one.rollout_id, one.attempt_id), ("ro-none", "at-none")]),
        store.start_attempt("ro-none"),
        store.update_rollout("ro-none", metadata={}),
        store.update_attempt("ro-none", "latest", metadata={}),
        store.update_attempt(one.rollout_id, "at-none", metadata={}),
        store.update_resources("rs-none", {"p": PromptTemplate("x")}),
        store.add_span(span(one, attempt_id="at-none")),
        store.add_many_spans([span(one), span(one, rollout_id="ro-none")]),
        store.enqueue_rollout(1, resources_id="rs-none"),
        store.start_rollout(1, resources_id="rs-none"),
        store.cancel_rollout("ro-none"),
        store.delete_rollout("ro-none"),
    ):
        with pytest.raises(UnknownId):
            await asked

    assert log.head() == head


async def test_waiting_for_a_hundred_takes_as_long_as_it_was_told_to(store):
    """v0.3: a thread for each id; a time-out of 1 s took 17 s."""
    ids = await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(100)])
    before = threading.active_count()

    async with asyncio.timeout(PATIENCE):
        done = await store.wait_for_rollouts(rollout_ids=ids, timeout=0.01)

    assert done == []
    assert threading.active_count() - before <= 1


async def test_what_begins_like_a_reward_is_none(store):
    """v0.3: an attribute `agentlightning.reward_model` broke the reading of rewards."""

    @agl.rollout
    def annotates(task):
        agl.emit_annotation({"agentlightning.reward_model": "m", "agentlightning.reward": {"0": "odd"}})
        return 0.5

    rollout = await run(store, annotates)

    (outcome,) = store.ask.outcomes([rollout.rollout_id])
    seen, rewarded = await store.query_spans(rollout.rollout_id)
    assert outcome.reward == 0.5
    assert seen.attributes["agentlightning.reward_model"] == "m"
    assert agl.get_reward_value(seen) is None
    assert agl.get_reward_value(rewarded) == 0.5


@pytest.mark.parametrize(
    "config",
    [
        {"timeout_seconds": -1.0},
        {"timeout_seconds": float("nan")},
        {"unresponsive_seconds": 0},
        {"max_attempts": 0},
        {"retry_condition": ("succeeded",)},
    ],
)
def test_a_configuration_without_sense_cannot_be_made(config):
    """v0.3: took each of them."""
    with pytest.raises(BadValue):
        RolloutConfig(**config)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_a_reward_that_is_no_number_is_no_reward(store, value):
    """v0.3: took it, and every mean it was in was NaN."""
    one = await store.start_rollout(1)

    with pytest.raises(BadValue):
        await store.add_reward(one.rollout_id, value)

    assert store.ask.outcomes([one.rollout_id])[0].reward is None


def test_prompts_render():
    """v0.3: braces of JSON raised `KeyError` in an f-string, Jinja was not there."""
    braces = PromptTemplate('Reply as {"answer": 1} to {name}.', engine="f-string")

    assert braces.format(name="Ada") == 'Reply as {"answer": 1} to Ada.'
    assert PromptTemplate("{{ 1 + 1 }} {{ name }}", engine="jinja").format(name="Ada") == "2 Ada"


async def test_the_log_names_the_reward_that_was_returned(store, caplog):
    """v0.3: said that the final reward was None when the agent had returned a number."""

    @agl.rollout
    def scored(task):
        return 0.25

    with caplog.at_level(logging.DEBUG, logger="agl_core.runner"):
        await run(store, scored)

    assert [record for record in caplog.messages if "reward 0.25" in record]
    assert "None" not in "".join(message for message in caplog.messages if "reward" in message)


# --- traps: what v0.3 left open


async def test_a_rollout_runs_with_the_version_it_was_enqueued_with(store):
    """Trap 1: an update of the same bundle does not reach it; the runner fetches what was pinned."""
    seen = []

    @agl.rollout
    def reads(task, p: PromptTemplate):
        seen.append(p.template)

    bundle = await store.add_resources({"p": PromptTemplate("old")})
    await store.enqueue_rollout({"q": 1})
    await store.update_resources(bundle.resources_id, {"p": PromptTemplate("new")})
    with Runner(max_rollouts=1).run_context(agent=reads, store=store) as runner:
        await runner.iter()

    assert seen == ["old"]


async def test_span_numbers_begin_at_1_and_are_shared_by_attempts(store):
    """Trap 2: per rollout, as in v0.3; several spans of one request may have the same."""
    one = await store.start_rollout(1)
    await store.add_many_spans([span(one, "sp-1"), span(one, "sp-2", sequence_id=1)])
    two = await store.start_attempt(one.rollout_id)
    third = await store.add_span(span(two, "sp-3"))

    assert [each.sequence_id for each in await store.query_spans(one.rollout_id)] == [1, 1, 2]
    assert third.sequence_id == 2


async def test_a_rollout_starts_when_it_is_enqueued(store, clock):
    """Trap 3: as in v0.3; how long it was worked on stands in its attempts."""
    enqueued = await store.enqueue_rollout(1)
    clock.advance(10)
    taken = await store.dequeue_rollout()
    clock.advance(5)
    await store.finish_attempt(taken.attempt, "completed")

    rollout = await store.get_rollout_by_id(enqueued.rollout_id)
    assert rollout.end_time - rollout.start_time == 15
    assert rollout.attempt.end_time - rollout.attempt.start_time == 5


async def test_a_limit_of_0_is_a_mistake(store):
    """Trap 8: -1 means all, as in v0.3; and ids hold whatever the logic between the filters."""
    one = await store.start_rollout(1)
    other = await store.start_rollout(2)
    await store.add_many_spans([span(one), span(other)])

    with pytest.raises(BadValue):
        await store.query_rollouts(limit=0)
    either = await store.query_spans(one.rollout_id, name="tool", span_id="sp-none", filter_logic="or")
    assert [each.rollout_id for each in either] == [one.rollout_id]


async def test_a_worker_does_not_say_how_it_is(store, log):
    """Trap 9: its status follows from its attempts, as in v0.3; but an empty queue writes nothing."""
    await store.dequeue_rollout("wk-1")
    head = log.head()
    await store.dequeue_rollout("wk-1")
    assert log.head() == head

    one = await store.start_rollout(1, worker_id="wk-1")
    busy = await store.get_worker_by_id("wk-1")
    await store.cancel_rollout(one.rollout_id)

    assert busy.status == "busy"
    assert (await store.get_worker_by_id("wk-1")).status == "idle"


async def test_a_long_silent_call_is_not_unresponsive(store, log, clock, expire):
    """Trap 10: the lease is kept by the worker's process; v0.3 counted from the last span of the attempt."""
    from agl_core.store._decisions import renew

    await store.start_rollout(1, config=RolloutConfig(unresponsive_seconds=25.0, timeout_seconds=300.0))

    for _ in range(20):
        clock.advance(10)
        log.transact(lambda view: renew(view, store._leases))
        expire()

    assert [rollout.status for rollout in await store.query_rollouts()] == ["preparing"]


async def test_the_attempt_that_was_given_up_is_fenced(store, clock, expire):
    """Trap 11: it may still be running; its success marks neither the rollout nor, unlike in v0.3, the attempt."""
    first = await store.start_rollout(1, config=RolloutConfig(max_attempts=2))
    clock.advance(31)
    expire()
    second = await store.dequeue_rollout()

    assert (await store.finish_attempt(first.attempt, "completed")).late
    assert [each.status for each in await store.query_attempts(first.rollout_id)] == ["unresponsive", "preparing"]
    await store.finish_attempt(second.attempt, "gave_up")
    assert (await store.get_rollout_by_id(first.rollout_id)).exit_status == "gave_up"


async def test_another_try_by_hand_is_not_limited(store):
    """Trap 12: `max_attempts` is for automatic tries, as in v0.3; but what has ended stays so."""
    one = await store.start_rollout(1)
    for number in (2, 3):
        one = await store.start_attempt(one.rollout_id)
        assert one.attempt.sequence_id == number
    await store.finish_attempt(one.attempt, "agent_raised")

    with pytest.raises(AlreadySettled):
        await store.start_attempt(one.rollout_id)
