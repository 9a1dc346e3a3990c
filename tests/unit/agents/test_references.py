"""An agent knows who runs it, and keeps nobody alive."""

import asyncio
import gc
import pickle
from dataclasses import dataclass

import pytest

import agl_core as agl
from agl_core.errors import BadValue
from agl_core.recorder import Recorder
from agl_core.runner import Runner


class Agent(agl.LitAgent):
    """Notes who runs it."""

    def __init__(self):
        self.seen = []

    def rollout(self, task, resources, rollout):
        """In a thread of its own."""
        self.seen.append((self.runner.worker_id, type(self.tracer), self.get_runner() is self.runner))


def test_an_agent_knows_its_runner_and_tracer(store, step):
    """As methods and as properties."""
    agent = Agent()

    step(agent)

    ((worker_id, tracer, is_same),) = agent.seen
    assert worker_id.startswith("wk-")
    assert (tracer, is_same) == (Recorder, True)


def test_each_of_many_runners_is_known_where_it_runs(store):
    """One agent, several runners."""
    agent = Agent()

    async def story():
        runners = [Runner(max_rollouts=2) for _ in range(2)]
        for n in range(4):
            await store.enqueue_rollout({"n": n})

        async def work(number, runner):
            with runner.run_context(agent=agent, store=store, worker_id=number):
                await runner.iter()

        await asyncio.gather(*(work(number, runner) for number, runner in enumerate(runners)))

    asyncio.run(story())

    assert sorted(worker_id for worker_id, *_ in agent.seen) == ["Worker-0", "Worker-0", "Worker-1", "Worker-1"]


def test_an_agent_knows_its_trainer(tmp_path):
    """While it is trained."""
    seen = []

    class Asks(agl.LitAgent):
        def rollout(self, task, resources, rollout):
            seen.append((self.trainer is trainer, self.get_trainer() is trainer))
            return 1.0

    trainer = agl.Trainer(store=str(tmp_path / "log.db"))
    trainer.fit(Asks(), train_dataset=[{"n": 1}])

    assert set(seen) == {(True, True)}


@pytest.mark.parametrize("what", ["trainer", "runner", "tracer"])
def test_who_is_not_there_is_told_as_such(what):
    """With what would set it."""
    with pytest.raises(BadValue, match=r"it is set|sets itself"):
        getattr(Agent(), what)


@dataclass(frozen=True)
class Frozen(agl.LitAgent):
    """An agent with settings."""

    style: str = "dry"

    def rollout(self, task, resources, rollout):
        """Knows who runs it, all the same."""
        return float(self.runner is not None)


def test_a_frozen_agent_knows_its_runner_too(step, reward):
    """It is not changed by that."""
    agent = Frozen(style="wet")

    assert reward(step(agent)) == 1.0
    assert agent == Frozen(style="wet")


def test_an_agent_can_be_sent_to_another_process(step):
    """Also one that has run here: who ran it stays behind."""
    agent = Frozen(style="wet")
    step(agent)

    sent = pickle.loads(pickle.dumps(agent))  # noqa: S301 - our own bytes

    assert sent == agent
    with pytest.raises(BadValue):
        sent.get_runner()


def test_an_agent_keeps_nobody_alive():
    """The references are weak."""
    agent, runner = Agent(), Runner()
    agent.set_runner(runner)
    agent.set_trainer(runner)

    del runner
    gc.collect()

    for what in ("trainer", "runner"):
        with pytest.raises(BadValue):
            getattr(agent, what)
