"""Hooks around rollouts: what they may change, what they are told, and that what they raise changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import agl_core as agl
from agl_core.errors import KeyReused
from agl_core.events import AttemptFinished, RewardGiven, RolloutEnqueued
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.store import EnqueueRolloutRequest


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@pytest.fixture
def log(tmp_path):
    """Where the runs of a test write."""
    return str(tmp_path / "log.db")


@agl.rollout
async def agent(task) -> float:
    """Scores the task's own number, or fails."""
    if task["n"] < 0:
        raise ValueError("this task is bad")
    return float(task["n"])


class Once:
    """One round, whose outcomes are kept."""

    name = "once"

    def __init__(self, *, dies: bool = False) -> None:
        self.outcomes: list[agl.Outcome] = []
        self._dies = dies

    async def run(self, run: agl.Run) -> None:
        """Ask for the tasks, twice each."""
        self.outcomes = await run.rollouts(run.train, repeat=2)
        if self._dies:
            raise RuntimeError("killed")


def facts(log: str, *types: str) -> list[Any]:
    """Events of these types, in order."""
    with agl.open_log(log, readonly=True) as found:
        return [record.event for record in found.read(types=types)]


def fit(log: str, *hooks: agl.Hook, tasks=({"n": 1},), **options: Any) -> list[agl.Outcome]:
    """The outcomes of a round."""
    algorithm = options.pop("algorithm", None) or Once()
    agl.Trainer(algorithm=algorithm, store=log, hooks=list(hooks), **options).fit(agent, list(tasks))
    return algorithm.outcomes


class Adds(agl.Hook):
    """Makes each task worth more, and remembers what it was asked."""

    def __init__(self, more: int) -> None:
        self.more, self.asked = more, []

    async def on_enqueue(self, *, request, store):
        """By so much."""
        self.asked.append(request.input)
        return replace(request, input={"n": request.input["n"] + self.more}, metadata={"by": self.more})


def test_a_request_is_changed_before_it_is_written(log):
    """Each hook is handed what the one before it made; the algorithm keeps the task that it asked for."""
    first, second = Adds(1), Adds(10)

    outcomes = fit(log, first, second)

    enqueued = facts(log, "rollout.enqueued")
    assert [event.input for event in enqueued] == [{"n": 12}] * 2
    assert [event.metadata["by"] for event in enqueued] == [10, 10]
    assert (first.asked, second.asked) == ([{"n": 1}] * 2, [{"n": 2}] * 2)
    assert [(outcome.task, outcome.reward) for outcome in outcomes] == [({"n": 1}, 12.0)] * 2


def test_a_run_that_is_resumed_gets_what_was_recorded_and_asks_nobody(log):
    """Also when the hook would say something else by then, and when it is not there any more."""
    with pytest.raises(RuntimeError, match="killed"):
        fit(log, Adds(1), algorithm=Once(dies=True))
    (run_id,) = {event.run_id for event in facts(log, "rollout.enqueued")}
    other, again, without = Adds(5), Once(), Once(dies=True)

    with pytest.raises(RuntimeError, match="killed"):
        agl.Trainer(algorithm=without, store=log).fit(agent, resume=run_id)
    agl.Trainer(algorithm=again, store=log, hooks=other).fit(agent, resume=run_id)

    assert other.asked == []
    assert [outcome.reward for outcome in without.outcomes] == [2.0, 2.0]
    assert [outcome.reward for outcome in again.outcomes] == [2.0, 2.0]
    assert len(facts(log, "rollout.enqueued")) == 2


def test_the_same_key_for_another_task_is_still_refused(log):
    """What the hook made of the first is no cover for it."""

    async def story() -> None:
        store = agl.open_store(log)
        from agl_core.runner import QueueHooks

        store.hooks = QueueHooks([Adds(1)])
        try:
            first, again = [
                (await store.enqueue_many_rollouts([EnqueueRolloutRequest(input={"n": 1}, key="k")]))[0]
                for _ in range(2)
            ]
            assert first.rollout_id == again.rollout_id
            with pytest.raises(KeyReused):
                await store.enqueue_many_rollouts([EnqueueRolloutRequest(input={"n": 2}, key="k")])
        finally:
            store.close()
            store.log.close()

    asyncio.run(story())


class Broken(agl.Hook):
    """Answers what cannot be, one after the other."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def on_enqueue(self, *, request, store):
        """That."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(request) if callable(self.answer) else self.answer


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("no"),
        "not a request",
        lambda request: replace(request, mode="test"),
        lambda request: replace(request, key="another"),
        lambda request: replace(request, input={1, 2}),
    ],
    ids=["raises", "no request", "mode", "key", "no JSON"],
)
def test_a_hook_that_fails_changes_nothing(log, answer, caplog):
    """The request goes on as it was, and the others are asked."""
    outcomes = fit(log, Broken(answer), Adds(1))

    assert [outcome.reward for outcome in outcomes] == [2.0, 2.0]
    assert "hook Broken.on_enqueue raised" in caplog.text


class Judges(agl.Hook):
    """Gives a reward when all is over, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, list[list[str]]]] = []

    async def on_succeeded(self, *, rollout, events, store):
        """Half of what it was worth."""
        self._hear("succeeded", rollout, events)
        given = [event.value for left in events.values() for event in left if isinstance(event, RewardGiven)]
        await store.add_reward(rollout.rollout_id, given[-1] / 2, judge="late")

    def on_failed(self, *, rollout, events, store):
        """Just listen."""
        self._hear("failed", rollout, events)

    def _hear(self, what, rollout, events):
        self.told.append((what, rollout.status, [[type(event).__name__ for event in left] for left in events.values()]))


def test_a_late_reward_is_there_before_the_algorithm_goes_on(log):
    """And what each attempt left is told."""
    judges = Judges()

    outcomes = fit(log, judges, tasks=[{"n": 1}, {"n": -1}], rollout_config=agl.RolloutConfig(max_attempts=2))

    good = ["AttemptStarted", "RewardGiven", "AttemptFinished"]
    bad = ["AttemptStarted", "AttemptFinished"]
    assert sorted(judges.told) == [("failed", "failed", [bad, bad])] * 2 + [("succeeded", "succeeded", [good])] * 2
    assert [outcome.reward for outcome in outcomes] == [0.5, 0.5, None, None]
    assert [event.judge for event in facts(log, "reward.given")] == ["agent", "agent", "late", "late"]


def test_an_end_is_told_once(log):
    """A run that is resumed does not score its rollouts again."""
    judges, again = Judges(), Judges()
    with pytest.raises(RuntimeError, match="killed"):
        fit(log, judges, algorithm=Once(dies=True))
    (run_id,) = {event.run_id for event in facts(log, "rollout.enqueued")}
    algorithm = Once()

    agl.Trainer(algorithm=algorithm, store=log, hooks=again).fit(agent, resume=run_id)

    assert (len(judges.told), again.told) == (2, [])
    assert [outcome.reward for outcome in algorithm.outcomes] == [0.5, 0.5]


class Grades(agl.Hook):
    """Gives the only reward there is."""

    async def on_succeeded(self, *, rollout, events, store):
        """A half."""
        await store.add_reward(rollout.rollout_id, 0.5, judge="grader")


def test_pre_flight_waits_for_the_reward_that_a_hook_gives(log):
    """The first rollout would look unrewarded, and the run would be stopped."""

    class Needy(Once):
        needs = frozenset({"rewards"})

    @agl.rollout
    async def unscored(task) -> None:
        """Leaves the scoring to others."""

    algorithm = Needy()
    agl.Trainer(algorithm=algorithm, store=log, hooks=Grades(), preflight=True).fit(unscored, [{"n": 1}])

    assert [outcome.reward for outcome in algorithm.outcomes] == [0.5, 0.5]
    assert [event.judge for event in facts(log, "reward.given")] == ["grader"] * 2


class Waits(agl.Hook):
    """Asks the store for what it is told of, and takes its time."""

    def __init__(self) -> None:
        self.told = 0

    async def on_succeeded(self, *, rollout, events, store):
        """Wait for what is over, while others wait for this."""
        self.told += 1
        await store.wait([rollout.rollout_id])
        await asyncio.sleep(0)
        await store.add_reward(rollout.rollout_id, 7.0, judge="late")


class Twice:
    """Waits for the same rollouts in two places at once."""

    name = "twice"

    def __init__(self) -> None:
        self.rewards: list[list[float | None]] = []

    async def run(self, run: agl.Run) -> None:
        """Both see what the hook left."""
        ids = await run.store.enqueue([EnqueueRolloutRequest(input={"n": n}, run_id=run.id) for n in (1, 2)])
        await run._weights.admit()

        async def waited() -> None:
            await run.store.wait(ids)
            self.rewards.append([outcome.reward for outcome in run.store.ask.outcomes(ids)])

        await asyncio.gather(waited(), waited())


def test_who_waits_at_once_waits_for_the_hook_too_and_it_may_wait_itself(log):
    """It is called once for each rollout, and everybody sees the reward it gave."""
    hook, algorithm = Waits(), Twice()

    agl.Trainer(algorithm=algorithm, store=log, hooks=hook).fit(agent, [{"n": 1}])

    assert hook.told == 2
    assert algorithm.rewards == [[7.0, 7.0]] * 2


class First:
    """A plugin whose hooks raise, each in its way."""

    @hookimpl
    async def on_enqueue(self, request):
        """Later."""
        await asyncio.sleep(0)
        raise ValueError("no request")

    @hookimpl
    async def on_rollout_end(self):
        """Later."""
        raise ValueError("no end")

    @hookimpl
    def on_succeeded(self, rollout, events):
        """At once."""
        raise ValueError("no success")


class Second:
    """A plugin that has its say after it."""

    @hookimpl
    async def on_enqueue(self, request):
        """One more."""
        return replace(request, input={"n": request.input["n"] + 1})

    @hookimpl
    async def on_succeeded(self, rollout, store):
        """Worth a hundred."""
        await store.add_reward(rollout.rollout_id, 100.0, judge="second")


def test_plugins_are_asked_in_order_and_what_they_raise_is_a_fact(log):
    """Async or not; the next one has its say, and the agent goes on."""
    plugins = Plugins.load()
    plugins.register(Second(), name="second")
    plugins.register(First(), name="first")

    outcomes = fit(log, plugins=plugins, tasks=[{"n": 1}], algorithm=Once())

    failed = {(event.name, event.hook, event.why) for event in facts(log, "plugin.failed")}
    assert {("first", "on_enqueue", "ValueError: no request")} <= failed
    assert {hook for _, hook, _ in failed} <= {"on_enqueue", "on_rollout_end", "on_succeeded"}
    assert [outcome.reward for outcome in outcomes] == [100.0, 100.0]
    assert [event.input for event in facts(log, "rollout.enqueued")] == [{"n": 2}] * 2


class Order(agl.Hook):
    """Writes down when it was called, and how things stood."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def on_trace_end(self, *, agent, runner, tracer, rollout):
        """Right after the agent."""
        await self._note("trace_end", runner, rollout)

    async def on_rollout_end(self, *, agent, runner, rollout, spans):
        """Before the end is written."""
        await self._note("rollout_end", runner, rollout)

    async def on_failed(self, *, rollout, events, store):
        """After it was."""
        self.seen.append(("failed", rollout.status))
        assert isinstance(list(events.values())[-1][-1], AttemptFinished)

    async def _note(self, name, runner, rollout):
        now = await runner.store.get_rollout_by_id(rollout.rollout_id)
        self.seen.append((name, now.status))


def test_after_an_exception_all_are_told_before_the_status_is_written(log):
    """As in v0.3; only then is it the turn of those that hear of ends."""
    order = Order()

    fit(log, order, tasks=[{"n": -1}], rollout_config=agl.RolloutConfig(max_attempts=1), deterministic=True)

    assert order.seen == [
        ("trace_end", "preparing"), ("rollout_end", "preparing"),
        ("trace_end", "preparing"), ("rollout_end", "preparing"),
        ("failed", "failed"), ("failed", "failed"),
    ]  # fmt: skip


def test_hooks_that_do_not_listen_cost_nothing(log):
    """No note is written, no request is copied."""
    fit(log, agl.Hook())

    assert facts(log, "note.taken") == []
    assert all(
        "on_enqueue" not in event.metadata
        for event in facts(log, "rollout.enqueued")
        if isinstance(event, RolloutEnqueued)
    )
