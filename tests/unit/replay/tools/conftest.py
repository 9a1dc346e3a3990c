"""Agents that ran once, whose tools are asked again."""

import asyncio
import itertools

import pytest

from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.replay._tools import RecordedTools
from agl_core.runner import Runner
from agl_core.store import Store

from ._agents import agent_of, tape_of


@pytest.fixture
def world():
    """How often the world outside was touched; it says something else every time."""
    return itertools.count(1)


@pytest.fixture
def record(step, store):
    """Runs `body` as an agent; the tape of its tools."""

    def record(body):
        return tape_of(store, step(agent_of(body)))

    return record


@pytest.fixture
def replayed():
    """Runs `body` as the agent of a replay, whose log is another one; its spans, once it has come to its end."""

    def replayed(body, tape, **options):
        async def story(store, tools):
            with Runner(replaying=tools).run_context(agent=agent_of(body), store=store) as runner:
                rollout = await runner.step({"n": 1})
            return [one for one in await store.query_spans(rollout.rollout_id) if one.name.startswith("execute_tool")]

        with SqliteLog(":memory:", projections=CORE) as log:
            store = Store(log)
            try:
                return asyncio.run(story(store, RecordedTools(tape, **options)))
            finally:
                store.close()

    return replayed
