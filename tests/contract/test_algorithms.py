"""Algorithms of the core keep what every algorithm promises; one with a common fault does not."""

import random
from inspect import signature
from itertools import count

import pytest

from agl_core.algorithm import Baseline
from agl_core.errors import ReplayDiverged
from agl_core.testing import AlgorithmContract

RUNS = count()


class TestBaseline(AlgorithmContract):
    """It learns nothing, durably."""

    @pytest.fixture
    def make(self):
        """Twice over its tasks."""
        return lambda: Baseline(n_epochs=2)


class Picker:
    """As it should be: picks a number, a little better each round."""

    name = "picker"

    def __init__(self):
        self.best = 0.0

    async def run(self, run):
        """Four rounds."""
        best = 0.0
        for step in range(4):
            tasks = self.tasks(run)
            outcomes = await run.rollouts(tasks, label="try")
            rewards = [outcome.reward for outcome in outcomes if outcome.reward is not None]
            best = await run.step("pick", max, [best, *rewards])
            self.note(run, step, best)
        run.result["best"] = self.found(best)

    def tasks(self, run):
        """Two, by chance."""
        return run.rng("tasks").sample(run.train, 2)

    def note(self, run, step, best):
        """For people."""
        run.log(step=step, best=best)

    def found(self, best):
        """What it came to."""
        return best


class Dicing(Picker):
    """Has dice of its own."""

    def tasks(self, run):
        """Two, by another chance in each life."""
        return random.sample(run.train, 2)


class Remembering(Picker):
    """Keeps what it needs where a restart loses it."""

    async def run(self, run):
        """Nothing is noted once that is lost."""
        for step in range(4):
            if not run.result:
                outcomes = await run.rollouts(self.tasks(run), label="try")
                await run.step("pick", len, outcomes[:1] if step else [])
            self.best += 1
            run.result["best"] = next(RUNS)


class Clumsy(Picker):
    """Cannot do without a reward."""

    async def run(self, run):
        """Divides by their number."""
        outcomes = await run.rollouts(self.tasks(run))
        rewards = [outcome.reward for outcome in outcomes if outcome.reward is not None]
        run.result["mean"] = sum(rewards) / len(rewards)


class Direct(Picker):
    """Works on something else than a run."""

    async def run(self, store):
        """Whatever it is handed."""


class Idle(Picker):
    """Does nothing."""

    async def run(self, run):
        """At all."""


FAULTS = [
    ("test_the_same_seed_gives_the_same_run", Dicing),
    ("test_killed_at_any_movement_and_resumed_it_ends_the_same", Dicing),
    ("test_killed_again_and_again_it_ends_the_same", Remembering),
    ("test_an_agent_that_fails_is_no_accident", Clumsy),
    ("test_it_is_durable", Direct),
    ("test_it_ends", Idle),
]


class TestPicker(AlgorithmContract):
    """It keeps them all."""

    @pytest.fixture
    def make(self):
        """As it should be."""
        return Picker

    @pytest.mark.parametrize(("promise", "faulty"), FAULTS)
    def test_a_fault_is_found_by_the_promise_that_it_breaks(self, promise, faulty, agent, tasks, options, tmp_path):
        """The contract can fail."""
        given = {"make": faulty, "agent": agent, "tasks": tasks, "options": options, "tmp_path": tmp_path}
        kept = getattr(self, promise)
        lives = type(self).lives.__wrapped__(self, faulty, agent, tasks, options, tmp_path)

        with pytest.raises((AssertionError, ReplayDiverged, ZeroDivisionError)):
            kept(**{name: {**given, "lives": lives}[name] for name in signature(kept).parameters})
