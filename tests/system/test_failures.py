"""What becomes of rollouts by how they end: real agents, a real gateway and a scripted model, batch by batch."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.adapter import Adapted
from agl_core.errors import AglError, BadValue, RewardMissing, RolloutFailed, TooManyFailed
from agl_core.events import BatchFormed, RunStarted
from agl_core.run import Run
from agl_core.store import Outcome
from agl_core.testing import ScriptedModel
from agl_core.trainer import Trainer

from ._learning import ask

pytest.importorskip("agl_triplets")

ONCE = agl.RolloutConfig(max_attempts=1)


@dataclass
class Rounds:
    """A round for each task, in groups of `repeat`, as a learner makes them."""

    repeat: int = 1
    dies_after: int | None = None
    """Rounds after which the process is gone."""
    name: str = "rounds"
    outcomes: list[Outcome] = field(default_factory=list)
    batches: list[Adapted[Any]] = field(default_factory=list)
    config: None = None

    async def run(self, run: Run) -> None:
        """Rows of every round."""
        for number, task in enumerate(run.train, start=1):
            outcomes = await run.rollouts([task], repeat=self.repeat, label="train")
            self.outcomes += outcomes
            self.batches.append(run.adapt(outcomes, "triplets", min_group=1))
            run.log(step=number, rows=len(self.batches[-1].rows))
            if number == self.dies_after:
                raise RuntimeError("killed")


@agl.rollout
async def agent(task: Any, llm: agl.LLM, gone: agl.LLM) -> None:
    """Asks once, then ends as it is told; where it is told how well it did, it says so first."""
    (await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)).raise_for_status()
    if (reward := task.get("reward")) is not None:
        agl.emit_reward(reward)
    match task["ends"]:
        case "agent_raised":
            raise LookupError("no such page")
        case "endpoint_down":
            while LEAVING:
                LEAVING.pop().stop()
            (await ask(gone.endpoint, gone.api_key, gone.model)).raise_for_status()
        case "timeout":
            await asyncio.Event().wait()


LEAVING: list[ScriptedModel] = []
"""Models that are gone when an agent needs them."""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    from agl_core.plugins import Plugins

    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    loaded = Plugins.load

    def load() -> Plugins:
        plugins = loaded()
        plugins.register(import_module("agl_triplets"), name="triplets")
        return plugins

    monkeypatch.setattr(Plugins, "load", load)


class World:
    """A log, a model, and a model that nobody serves."""

    def __init__(self, path: Path, model: str, gone: str) -> None:
        self.path, self.model, self.gone = str(path), model, gone

    def fit(self, tasks: Sequence[Any], algorithm: Any = None, *, resume: str | None = None, **options: Any) -> Rounds:
        """Train, and give the algorithm back, which remembers what it was handed."""
        algorithm = algorithm or Rounds()
        chosen = {"rollout_config": ONCE, "n_runners": 2, "preflight": False, **options}
        models = {"llm": f"{self.model}#policy", "gone": f"{self.gone}#gone"}
        trainer = Trainer(algorithm=algorithm, models=models, roles={"gone": "tool"}, store=self.path, **chosen)
        trainer.fit(agent, list(tasks), resume=resume)
        return algorithm

    def facts(self, kind: type[Any]) -> list[Any]:
        """What the log has of that kind."""
        with agl.open_log(self.path, readonly=True) as log:
            return [record.event for record in log.read(types=[kind.type])]

    def rows(self, sql: str) -> list[Any]:
        """What it knows."""
        with agl.open_log(self.path, readonly=True) as log:
            return list(log.rows(sql))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The model gives token ids, as vLLM does."""
    with ScriptedModel("4", owner="vllm") as model, ScriptedModel("4") as gone:
        LEAVING[:] = [gone]
        yield World(tmp_path / "log.db", model.url, gone.url)


def ends(*how: str, reward: float | None = None) -> list[dict[str, Any]]:
    """A task for each."""
    return [{"ends": one, "reward": reward, "n": number} for number, one in enumerate(how)]


def summed(batches: Sequence[BatchFormed], name: str) -> Counter[str]:
    """What all of them count by reason."""
    return sum((Counter(getattr(batch, name)) for batch in batches), Counter())


# --- as usual


def test_what_infrastructure_did_punishes_nobody(world):
    """It made calls, and nobody scored it: it is no row, in no group, and no zero stands for it anywhere."""
    done = world.fit(ends("endpoint_down") + ends("", reward=1.0))

    failed, fine = done.outcomes
    assert (failed.exit_status, failed.mask, failed.reward) == ("endpoint_down", "endpoint_down", None)
    assert (fine.mask, fine.reward) == (None, 1.0)
    assert [len(batch.rows) for batch in done.batches] == [0, 1]
    first, second = world.facts(BatchFormed)
    assert (first.masked, first.dropped, first.zeroed) == ({"endpoint_down": 1}, {"masked:endpoint_down": 1}, {})
    assert (second.masked, second.zeroed, second.failures) == ({}, {}, {})
    assert world.rows("select count(*), sum(value) from rewards") == [(1, 1.0)]


def test_a_round_that_came_to_nothing_is_said_aloud_and_the_next_one_goes_on(world, caplog):
    """With how they ended, and what the first of them said: a step without a row does not end training."""
    with caplog.at_level(logging.WARNING, "agl_core.run"):
        done = world.fit(ends("agent_raised", "agent_raised") + ends("", reward=1.0), Rounds(repeat=2))

    said = [record.getMessage() for record in caplog.records if record.name.startswith("agl_core.run.")]
    assert len(said) == 2
    assert "nothing can be learnt from 2 rollout(s): 2 agent_raised" in said[0]
    assert "LookupError: no such page" in said[0]
    assert [len(batch.rows) for batch in done.batches] == [0, 0, 2]
    assert world.rows("select status from runs") == [("finished",)]


def test_what_nobody_scored_stops_the_run(world):
    """As ever."""
    with pytest.raises(RewardMissing):
        world.fit(ends(""))


# --- as it is said


def test_a_zero_is_counted_and_never_written(world):
    """Where the agent gave itself a reward before it failed, that one stands."""
    done = world.fit(
        ends("agent_raised") + ends("agent_raised", reward=0.5) + ends("", reward=1.0), failures={"framework": "zero"}
    )

    assert [(one.reward, one.mask) for one in done.outcomes] == [(0.0, None), (0.5, None), (1.0, None)]
    assert [row.reward for batch in done.batches for row in batch.rows] == [0.0, 0.5, 1.0]
    assert summed(world.facts(BatchFormed), "zeroed") == {"agent_raised": 1}
    assert [batch.failures for batch in world.facts(BatchFormed)] == [{"framework": "zero"}] * 3
    assert world.rows("select value from rewards order by position") == [(0.5,), (1.0,)]


def test_an_end_of_the_policys_own_can_be_masked(world):
    """More specific goes first."""
    done = world.fit(
        ends("timeout", reward=0.25) + ends("", reward=1.0),
        failures={"policy": "train", "timeout": "mask"},
        rollout_config=agl.RolloutConfig(max_attempts=3, timeout_seconds=0.5),
    )

    assert [outcome.mask for outcome in done.outcomes] == ["timeout", None]
    assert [len(batch.rows) for batch in done.batches] == [0, 1]
    assert world.rows("select count(*) from attempts") == [(2,)]


def test_an_end_can_be_tried_again_and_is_masked_then(world):
    """As often as there are attempts; what is not named is as usual."""
    done = world.fit(
        ends("timeout", reward=0.25) + ends("agent_raised"),
        failures={"timeout": "retry"},
        rollout_config=agl.RolloutConfig(max_attempts=2, timeout_seconds=0.5),
    )

    assert [outcome.mask for outcome in done.outcomes] == ["timeout", "agent_raised"]
    assert world.rows("select count(*) from attempts") == [(4,)]


def test_an_end_can_stop_the_run(world):
    """It is said how many ended so, which one, and what its attempt said."""
    with pytest.raises(RolloutFailed, match="LookupError: no such page") as stopped:
        world.fit(ends("agent_raised"), Rounds(repeat=2), failures={"agent_raised": "fail"})

    ((example,),) = world.rows("select rollout_id from rollouts order by position limit 1")
    assert (stopped.value.ended, stopped.value.example) == ({"agent_raised": 2}, example)
    assert world.rows("select status, why from runs")[0][1].startswith("ROLLOUT_FAILED")


@pytest.mark.parametrize(
    ("what", "reward", "rows", "masked", "zeroed"),
    [("zero", 0.0, 1, {}, {"no_reward": 1}), ("mask", None, 0, {"no_reward": 1}, {}), ("train", None, 0, {}, {})],
)
def test_what_nobody_scored_becomes_what_is_said(world, what, reward, rows, masked, zeroed):
    """And each batch says so."""
    done = world.fit(ends(""), failures={"no_reward": what})

    assert [outcome.reward for outcome in done.outcomes] == [reward]
    assert [len(batch.rows) for batch in done.batches] == [rows]
    (batch,) = world.facts(BatchFormed)
    assert (batch.masked, batch.zeroed) == (masked, zeroed)


def test_a_run_that_is_resumed_does_as_it_was_told_first(world):
    """Whatever it is told then: its batches must be what they were."""
    with pytest.raises(RuntimeError, match="killed"):
        world.fit(ends("agent_raised", "agent_raised"), Rounds(dies_after=1), failures={"agent_raised": "zero"})
    (started,) = world.facts(RunStarted)

    done = world.fit([], resume=started.run_id, failures={"agent_raised": "mask"})

    assert started.config.failures == {"agent_raised": "zero"}
    assert [outcome.reward for outcome in done.outcomes] == [0.0, 0.0]
    assert summed(world.facts(BatchFormed), "zeroed") == {"agent_raised": 2}


def test_the_first_rollout_is_looked_at_as_the_run_has_it(world):
    """An end that counts is no failed agent, and a missing reward that counts as zero no missing one."""

    @dataclass
    class Needy(Rounds):
        needs: tuple[str, ...] = ("calls", "rewards")

    with pytest.raises(AglError) as stopped:
        world.fit(ends(*["agent_raised"] * 4), Needy(), preflight=None)
    assert stopped.value.code == "AGENT_FAILED"
    done = world.fit(
        ends(*["agent_raised"] * 4) + ends(""),
        Needy(),
        preflight=None,
        failures={"framework": "zero", "no_reward": "mask"},
    )
    assert [outcome.reward for outcome in done.outcomes] == [0.0] * 4 + [None]


# --- too much


def test_a_round_of_which_too_much_came_to_nothing_stops_the_run(world):
    """With the counts, and what one of them said; a share that is reached is not passed."""
    tasks = ends("agent_raised", "agent_raised") + ends("", reward=1.0)

    @dataclass
    class AtOnce(Rounds):
        async def run(self, run: Run) -> None:
            self.outcomes += await run.rollouts(run.train)

    assert len(world.fit(tasks, AtOnce(), max_failed_fraction=2 / 3).outcomes) == 3
    with pytest.raises(TooManyFailed, match=r"2 of 3 rollouts are masked \(2 agent_raised.*no such page") as stopped:
        world.fit(tasks, AtOnce(), max_failed_fraction=0.5)
    assert (stopped.value.failed, stopped.value.of, stopped.value.ended) == (2, 3, {"agent_raised": 2})


def test_a_run_that_was_stopped_by_it_goes_on_with_a_higher_share(world):
    """What was recorded is not done again; the share it began with is what it has where none is named."""
    with pytest.raises(TooManyFailed):
        world.fit(ends("agent_raised") + ends("", reward=1.0), max_failed_fraction=0.5)
    (started,) = world.facts(RunStarted)
    with pytest.raises(TooManyFailed):
        world.fit([], resume=started.run_id)

    done = world.fit([], resume=started.run_id, max_failed_fraction=1.0)

    assert [outcome.mask for outcome in done.outcomes] == ["agent_raised", None]
    assert world.rows("select count(*) from attempts") == [(2,)]


# --- what is refused


@pytest.mark.parametrize(
    "options",
    [{"failures": {"tool_filed": "mask"}}, {"failures": {"timeout": "skip"}}, {"max_failed_fraction": 1.5}],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(world, options):
    """When the trainer is made."""
    with pytest.raises(BadValue):
        world.fit(ends(""), **options)

    assert not Path(world.path).exists()


@pytest.mark.parametrize("options", [{"failures": {"timeout": "mask"}}, {"max_failed_fraction": 0.5}])
def test_an_algorithm_that_would_not_keep_to_it_is_refused(world, options):
    """Those of v0.3 ask the store, and say themselves what they learn from."""

    @agl.algo
    async def old(*, store: Any, train_dataset: Any) -> None:
        raise AssertionError

    with pytest.raises(BadValue, match="would not keep to it"):
        world.fit(ends(""), old, **options)
