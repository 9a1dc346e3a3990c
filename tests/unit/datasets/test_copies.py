"""Equal tasks of one data set are two, and not one that is sampled twice as often."""

import asyncio

import pytest

import agl_core as agl
from agl_core.ids import task_id
from agl_core.store import EnqueueRolloutRequest

TASKS = [{"a": 1, "b": 2}, {"a": 3}, {"b": 2, "a": 1}]


@agl.rollout
def agent(task):
    """Scores itself."""
    return float(task["a"])


class Twice:
    """Hands each task out twice."""

    name = "twice"

    def __init__(self, *, stops=False):
        self.stops = stops
        self.outcomes = []

    async def run(self, run):
        """One round."""
        self.outcomes = await run.rollouts(run.train, repeat=2)
        if self.stops:
            raise RuntimeError("power cut")


def test_each_of_two_equal_tasks_is_a_group_of_its_own(tmp_path):
    """The first has the id of what it is, so that it is paired with itself in another run."""
    algorithm = Twice()

    agl.Trainer(store=str(tmp_path / "log.db"), algorithm=algorithm).fit(agent, TASKS)

    first, other, second = task_id(TASKS[0]), task_id(TASKS[1]), task_id(TASKS[0], 1)
    assert [outcome.task_id for outcome in algorithm.outcomes] == [first, first, other, other, second, second]
    assert first != second


def test_a_run_over_equal_tasks_goes_on(tmp_path):
    """What was asked for then is asked for again, and no rollout runs twice."""
    log, algorithm = str(tmp_path / "log.db"), Twice()
    with pytest.raises(RuntimeError):
        agl.Trainer(store=log, algorithm=Twice(stops=True)).fit(agent, TASKS, run_id="run-1")

    agl.Trainer(store=log, algorithm=algorithm).fit(agent, resume="run-1")

    with agl.open_log(log, readonly=True) as opened:
        assert len(list(opened.read(types=["rollout.enqueued"]))) == len(algorithm.outcomes) == 6


def test_a_request_says_which_of_equal_tasks_it_is(tmp_path):
    """A store that is used directly is told so."""

    async def enqueue(store):
        return await store.enqueue([EnqueueRolloutRequest(input=1), EnqueueRolloutRequest(input=1, copy=1)])

    store = agl.open_store(str(tmp_path / "log.db"))
    ids = asyncio.run(enqueue(store))

    found = [outcome.task_id for outcome in store.ask.outcomes(ids, dict.fromkeys(ids, 1))]
    store.log.close()
    assert found == [task_id(1), task_id(1, 1)]
