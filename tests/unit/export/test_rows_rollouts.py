"""Which rollouts of a log are exported, and how they reach an adapter."""

import asyncio

import pytest

from agl_core.adapter import Adapted
from agl_core.events import Component, RunConfig, RunStarted, Unknown
from agl_core.export.rows import RowsOf, choose
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import EnqueueRolloutRequest, Store


class Told:
    """An adapter that makes a row of what it is handed at a time."""

    name = "told"
    by_task = True

    def __call__(self, traces):
        """Task by task."""
        return Adapted(rows=[[trace.input for trace in traces]], kept=0)


class Masks(Told):
    """One that tells why nothing may be learnt of a rollout."""

    def __call__(self, traces):
        """Of each."""
        return Adapted(rows=[(trace.mask, trace.reward) for trace in traces], kept=0)


@pytest.fixture
def log():
    """In memory."""
    with SqliteLog(":memory:", projections=CORE) as opened:
        yield opened


def begun(log, run_id, **config):
    """A run in the log."""
    component = Component(name="a:b")
    event = RunStarted(run_id=run_id, agent=component, algorithm=component, config=RunConfig(**config))
    log.append([Draft(stream=f"run/{run_id}", event=event, correlation_id=run_id)])


def enqueued(log, *tasks, run_id=None, mode="train", end=None):
    """Rollouts of those tasks; their ids."""
    store = Store(log)

    async def happen():
        ids = await store.enqueue([EnqueueRolloutRequest(input=task, mode=mode, run_id=run_id) for task in tasks])
        for _ in ids if end else ():
            rollout = await store.dequeue_rollout("wk")
            await store.finish_attempt(rollout.attempt, end)
        return ids

    try:
        return asyncio.run(happen())
    finally:
        store.close()


def rows(log, *ids, adapter=None, **options):
    """What an adapter makes of them."""
    return list(RowsOf(log, adapter or Told(), choose(log, ids, **options)))


def test_rollouts_of_a_task_come_together(log):
    """In the order in which tasks, and rollouts of one, were enqueued: what is in memory is a task's."""
    begun(log, "run-1")
    enqueued(log, "a", "b", "a", "c", "b", run_id="run-1")

    assert rows(log) == [["a", "a"], ["b", "b"], ["c"]]


def test_an_adapter_that_compares_tasks_sees_them_all(log):
    """It measures a rollout on the whole batch, and a task at a time it would measure it on less."""
    begun(log, "run-1")
    enqueued(log, "a", "b", "a", run_id="run-1")
    across = Told()
    across.by_task = False

    assert rows(log, adapter=across) == [["a", "a", "b"]]


def test_without_ids_the_last_run_is_meant(log):
    """Of a log that has no run, all of it."""
    loose = enqueued(log, "loose")
    assert rows(log) == [["loose"]]

    begun(log, "run-1")
    begun(log, "run-2")
    enqueued(log, "first", run_id="run-1")
    enqueued(log, "second", run_id="run-2")

    assert rows(log) == [["second"]]
    assert rows(log, "run-1", loose[0]) == [["first"], ["loose"]]


def test_what_is_measured_on_is_left_out(log):
    """Unless it is asked for, by its split or by its id; and it is counted."""
    begun(log, "run-1")
    enqueued(log, "train", run_id="run-1")
    (val,) = enqueued(log, "val", run_id="run-1", mode="val")
    enqueued(log, "none", run_id="run-1", mode=None)

    assert rows(log) == [["train"], ["none"]]
    assert choose(log, ["run-1"]).left_out == {"val": 1}
    assert rows(log, split="val") == [["val"]]
    assert len(choose(log, [], split="all")) == 3
    assert rows(log, val) == [["val"]]


def test_a_rollout_that_is_named_twice_is_there_once(log):
    """With its run, and by itself."""
    begun(log, "run-1")
    (only,) = enqueued(log, "a", run_id="run-1")

    assert rows(log, "run-1", only) == [["a"]]


def test_a_runs_failure_policy_holds(log):
    """A rollout that its run counts as zero is a zero here, too."""
    begun(log, "run-usual")
    begun(log, "run-zero", failures={"timeout": "zero"})
    enqueued(log, "a", run_id="run-usual", end="timeout")
    enqueued(log, "b", run_id="run-zero", end="timeout")

    assert rows(log, "run-usual", adapter=Masks()) == [(None, None)]
    assert rows(log, "run-zero", adapter=Masks()) == [(None, 0.0)]


def test_a_rollout_of_which_something_was_erased_is_left_out_and_counted(log):
    """It would be learnt from as another story."""
    first, _ = enqueued(log, "a", "b")
    erased = Unknown(name="call.recorded", version=1, data={"erased": "b2:0"})
    log.append([Draft(stream=f"rollout/{first}", event=erased)])

    found = RowsOf(log, Told(), choose(log, []))

    assert list(found) == [[], ["b"]]
    assert found.erased == 1
