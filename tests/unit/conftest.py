"""A store in memory, and one step of an agent."""

import asyncio

import pytest

from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.runner import Runner
from agl_core.store import Store


@pytest.fixture
def store():
    """A store over a log that goes when the test does."""
    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        yield store
        store.close()


@pytest.fixture
def step(store):
    """Runs an agent on one task; the rollout that came of it."""

    def step(agent, task=None, *, hooks=None, mode=None):
        async def story():
            with Runner().run_context(agent=agent, store=store, hooks=hooks) as runner:
                return await runner.step(task or {"n": 1}, mode=mode)

        return asyncio.run(story())

    return step


@pytest.fixture
def spans(store):
    """The spans of a rollout, as `query_spans` has them."""
    return lambda rollout: list(asyncio.run(store.query_spans(rollout.rollout_id)))


@pytest.fixture
def reward(store):
    """What a rollout is trained on."""
    return lambda rollout: store.ask.outcomes([rollout.rollout_id])[0].reward


@pytest.fixture
def given(store):
    """Name and value of every reward that counts."""
    return lambda rollout: [
        (one.given.name, one.given.value) for one in store.ask.traces([rollout.rollout_id])[0].rewards
    ]
