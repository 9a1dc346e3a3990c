"""A log as a run leaves it, made through the real store."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from agl_core.cli import agl
from agl_core.clock import Still
from agl_core.events import (
    BatchFormed,
    CallRecorded,
    CheckpointSaved,
    Choice,
    Component,
    Message,
    MetricsLogged,
    ModelCall,
    PolicyUpdated,
    RunFinished,
    RunStarted,
    Tool,
    ToolCall,
    Usage,
)
from agl_core.ids import new_id
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import EnqueueRolloutRequest, Store

from ._warm import Warm


@dataclass
class Story:
    """What was put into the log."""

    path: Path
    run: str
    rollouts: list[str]

    @property
    def good(self) -> str:
        """The rollout that called a tool and was rewarded."""
        return self.rollouts[0]

    @property
    def bad(self) -> str:
        """The rollout whose agent raised."""
        return self.rollouts[1]

    @property
    def waiting(self) -> str:
        """The rollout nobody took."""
        return self.rollouts[2]


@pytest.fixture
def story(tmp_path):
    """A finished run of three rollouts: one solved with a tool, one that raised, one nobody took."""
    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE, clock=Still()) as log:
        store = Store(log)
        run = new_id("run")
        rollouts = asyncio.run(_happen(store, run))
        store.close()
    return Story(path, run, rollouts)


@pytest.fixture
def killed(tmp_path):
    """A run whose process was killed: it began, and nobody holds it."""
    path = tmp_path / "killed.db"
    with SqliteLog(path, projections=CORE) as log:
        run = new_id("run")
        component = Component(name="agents:solve")
        say(log, run, RunStarted(run_id=run, agent=component, algorithm=component))
    return Story(path, run, [])


@pytest.fixture
def held(tmp_path):
    """A run that a living process drives: this one."""
    path = tmp_path / "held.db"
    with SqliteLog(path, projections=CORE) as log:
        store = Store(log)
        asyncio.run(store.hold_run("run-1"))
        yield Story(path, "run-1", [])
        store.close()


async def _happen(store, run):
    say(store.log, run, RunStarted(
        run_id=run, agent=Component(name="agents:solve"), algorithm=Component(name="grpo", config={"steps": 3}), seed=7,
        models={"policy": "transformers:/models/tiny"}, train=({"q": "6*7"}, {"q": "1/0"}), test=({"q": "2+2"},),
    ))  # fmt: skip
    rollouts = await store.enqueue(
        [
            EnqueueRolloutRequest(input={"q": task}, mode="train", run_id=run, group="g", repeat=repeat)
            for repeat, task in enumerate(["6*7", "1/0", "2+2"])
        ]
    )
    good = await store.dequeue_rollout("wk-a")
    question = Message(role="user", content="What is 6*7?")
    use = ToolCall(id="t1", name="calculator", arguments='{"expression": "6*7"}')
    wish, result = Message(role="assistant", tool_calls=(use,)), Message(role="tool", tool_call_id="t1", content="42")
    call(store.log, run, good, (question,), wish)
    call(store.log, run, good, (question, wish, result), Message(role="assistant", content="The answer is 42."))
    await store.add_reward(good.rollout_id, 0.875, attempt_id=good.attempt_id)
    await store.finish_attempt(good.attempt, "completed")
    bad = await store.dequeue_rollout("wk-a")
    await store.finish_attempt(bad.attempt, "agent_raised", error="ZeroDivisionError: division by zero (agents.py:12)")
    for step, reward in enumerate([0.25, 0.5, 0.875]):
        say(store.log, run, MetricsLogged(run_id=run, step=step, metrics={"reward/mean": reward, "kl": 0.01 * step}))
    say(store.log, run, BatchFormed(
        run_id=run, batch_id=new_id("ba"), adapter="triplets", rollouts=(good.rollout_id, bad.rollout_id), captured=3,
        kept=2, rows=1, dropped={"no_reward": 1}, masked={"agent_raised": 1}, digest="b2:0",
    ))  # fmt: skip
    say(store.log, run, CheckpointSaved(
        run_id=run, checkpoint_id=new_id("ck"), digest="b2:77", files={"model.safetensors": "b2:78"}, bytes=1_400_000
    ))  # fmt: skip
    say(store.log, run, PolicyUpdated(run_id=run, policy="policy", version=1, checkpoint="b2:77"))
    say(store.log, run, RunFinished(run_id=run, result={"reward_after": 0.9}))
    return rollouts


def say(log, run, event):
    """Put one event into the run's stream."""
    return log.append([Draft(stream=f"run/{run}", event=event, correlation_id=run)])


def call(log, run, rollout, messages, answer):
    """Record that the model was asked `messages` and said `answer`."""
    event = CallRecorded(
        call_id=new_id("ca"), rollout_id=rollout.rollout_id, attempt_id=rollout.attempt_id, started_at=0, latency=0.25,
        policy_version=0,
        call=ModelCall(
            model="policy", messages=messages, tools=(Tool(name="calculator"),), provenance="engine",
            choices=(Choice(message=answer, token_ids=(5, 6, 7), logprobs=(-0.1, -0.2, -0.3)),),
            prompt_token_ids=tuple(range(10)), usage=Usage(prompt_tokens=10, completion_tokens=3),
        ),
    )  # fmt: skip
    log.append([Draft(stream=f"rollout/{rollout.rollout_id}", event=event, correlation_id=run)])


@pytest.fixture(scope="session")
def type_in():
    """Type a command line in a folder, in a process of its own that has that environment."""
    warm = Warm()
    yield warm.type
    warm.close()


@pytest.fixture
def ask():
    """Type a command line; what came of it."""
    return lambda *arguments: CliRunner().invoke(agl, [str(argument) for argument in arguments])
