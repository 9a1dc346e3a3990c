"""Algorithms of the core keep what every algorithm promises; one with a common fault does not."""

import contextlib
import random
import threading
import time
from inspect import signature
from itertools import count
from uuid import uuid4

import httpx
import pytest

import agl_core as agl
from agl_core.adapter import Adapted
from agl_core.algorithm import Baseline, Collect
from agl_core.errors import AglError
from agl_core.events import BatchFormed
from agl_core.ids import new_id
from agl_core.record import Draft
from agl_core.store import EnqueueRolloutRequest
from agl_core.testing import AlgorithmContract, AlgorithmKillContract, ScriptedModel
from agl_core.testing._algorithm_lives import Lives

RUNS = count()
LEFT = threading.Event()


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


async def earned(task, llm):
    """Something, by what the policy says."""
    body = {"model": llm.model, "messages": [{"role": "user", "content": str(task["n"])}]}
    async with httpx.AsyncClient() as client:
        headers = {"authorization": f"Bearer {llm.api_key}"}
        reply = await client.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers)
    reply.raise_for_status()
    return len(reply.json()["choices"][0]["message"]["content"]) / 10


@agl.rollout
async def speak(task, llm):
    """Asks the policy."""
    return await earned(task, llm)


@agl.rollout
async def mishap(task, llm):
    """Asks, and then its tool fails, on one task of two."""
    found = await earned(task, llm)
    if task["n"] == 22:
        raise agl.EndAttempt("tool_failed")
    return found


@agl.rollout
def idle(task):
    """Asks nobody."""
    return task["n"] / 10


class Asking:
    """Its agents, and it itself, ask a model that counts."""

    @pytest.fixture
    def provider(self):
        """Answers with what it was asked, once more."""
        with ScriptedModel(lambda asked: asked.last * 2) as model:
            yield model

    @pytest.fixture
    def agent(self):
        """It asks the policy."""
        return speak

    @pytest.fixture
    def tasks(self):
        """Two of each."""
        return {"train": [{"n": 1}, {"n": 22}], "val": [{"n": 333}]}

    @pytest.fixture
    def options(self, provider):
        """One request at a time."""
        return {"models": {"policy": f"{provider.url}#policy"}, "deterministic": True}


class Learningless:
    """It learns nothing, durably."""

    @pytest.fixture
    def make(self):
        """Twice over its tasks."""
        return lambda: Baseline(n_epochs=2)


class TestBaseline(Learningless, AlgorithmContract):
    """Its promises, at some of its movements."""

    deaths, cancels = 8, 1


@pytest.mark.slow
class TestBaselineKilled(Learningless, AlgorithmKillContract):
    """At all of them, and by processes that die."""

    kills = 2


@pytest.mark.slow
class TestCollect(AlgorithmContract):
    """Its promises, too."""

    deaths, cancels, stops = 4, 1, False

    @pytest.fixture
    def make(self):
        """A group of two of each task."""
        return lambda: Collect(samples=2)


class Picker:
    """As it should be: picks a number, a little better each round."""

    name = "picker"
    rounds = 3

    def __init__(self):
        self.best = 0.0

    async def run(self, run):
        """As many rounds as it may."""
        best = 0.0
        for step in range(self.rounds):
            if not await self.goes_on(run, step):
                break
            outcomes = await self.outcomes(run, self.tasks(run))
            rewards = [outcome.reward for outcome in outcomes if outcome.reward is not None]
            best = await self.pick(run, [best, *rewards])
            self.note(run, step, best)
        run.result["best"] = self.found(best)

    async def goes_on(self, run, step):
        """Before each round but the first."""
        return step == 0 or await run.goes_on()

    def tasks(self, run):
        """Two, by chance."""
        return run.rng("tasks").sample(run.train, 2)

    async def outcomes(self, run, tasks):
        """What came of them."""
        return await run.rollouts(tasks, label="try")

    async def pick(self, run, rewards):
        """The best of them."""
        return await run.step("pick", max, rewards)

    def note(self, run, step, best):
        """For people."""
        run.log(step=step, best=best)

    def found(self, best):
        """What it came to."""
        return best


class Asker(Picker):
    """Asks a model what it thinks of each round."""

    name = "asker"
    rounds = 2

    async def pick(self, run, rewards):
        """The best of them, and as much as the critic has to say."""
        said = await run.ask("policy", [{"role": "user", "content": str(max(rewards))}])
        return max(rewards) + len(said.text) / 100


class Dicing(Picker):
    """Has dice of its own."""

    def tasks(self, run):
        """Two, by another chance in each life."""
        return random.sample(run.train, 2)


class Dated(Picker):
    """Looks at a clock of its own."""

    async def pick(self, run, rewards):
        """The best of today."""
        return await run.step("pick", best_of_day, rewards, time.strftime("%F", time.gmtime(time.time())))


class Minting(Picker):
    """Makes ids of its own."""

    async def pick(self, run, rewards):
        """The best, under a name that nobody had before."""
        return await run.step("pick", best_of_day, rewards, str(uuid4()))


class Proper(Picker):
    """Asks the run for both, and for its dice."""

    async def pick(self, run, rewards):
        """The best, under such a name, at such a time."""
        told = [str(run.uuid("pick")), run.new_id("pick"), await run.now(), run.rng("pick").random()]
        return await run.step("pick", best_of_day, rewards, told)


def best_of_day(rewards, _told):
    """The best."""
    return max(rewards)


class Remembering(Picker):
    """Keeps what it needs where a restart loses it."""

    def found(self, best):
        """Another number each time."""
        return next(RUNS)


class Clumsy(Picker):
    """Cannot do without a reward."""

    async def pick(self, run, rewards):
        """Divides by their number."""
        return sum(rewards[1:]) / len(rewards[1:])


class Direct(Picker):
    """Works on something else than a run."""

    async def run(self, store):
        """Whatever it is handed."""


class Idle(Picker):
    """Does nothing."""

    async def run(self, run):
        """At all."""


class Deafened(Picker):
    """Takes what it is told for an accident, and makes do without."""

    async def pick(self, run, rewards):
        """What the log remembers of another step is no news to it."""
        with contextlib.suppress(AglError):
            return await run.step("pick", max, rewards)
        return max(rewards)


class Wasteful(Picker):
    """Asks for more than it waits for."""

    async def outcomes(self, run, tasks):
        """Behind the run's back."""
        await run.store.enqueue([EnqueueRolloutRequest(input=task, run_id=run.id) for task in run.val])
        return await run.rollouts(tasks, label="try")


class Forging(Picker):
    """Says of batches what is not so."""

    async def outcomes(self, run, tasks):
        """Calls were made, and none is accounted for."""
        found = await run.rollouts(tasks, label="try")
        ids = tuple(outcome.rollout_id for outcome in found)
        of_nothing = {"captured": 0, "kept": 0, "rows": 0, "digest": ""}
        batch = BatchFormed(run_id=run.id, batch_id=new_id("ba"), adapter="none", rollouts=ids, **of_nothing)
        run.store.log.append([Draft(stream=f"run/{run.id}", event=batch)])
        return found


class Everything:
    """Makes a row of every call, whatever became of its rollout."""

    name = "everything"

    def __call__(self, traces):
        """All of it."""
        calls = tuple(call.call_id for trace in traces for call in trace.calls)
        return Adapted(rows=calls, kept=len(calls), dropped=())


class Indiscriminate(Picker):
    """Learns from what its policy did not cause."""

    async def outcomes(self, run, tasks):
        """And from the rest."""
        found = await run.rollouts(tasks, label="try")
        run.adapt(found, Everything())
        return found


class Impatient(Asker):
    """Asks again what it was refused, past the gateway."""

    async def pick(self, run, rewards):
        """A budget is for others."""
        body = {"model": "policy", "messages": [{"role": "user", "content": "now"}]}
        async with httpx.AsyncClient() as client:
            for _ in range(3):
                await client.post(f"{PAST['url']}/chat/completions", json=body)
        return await super().pick(run, rewards)


PAST: dict[str, str] = {}


class Heedless(Picker):
    """Asks whether to go on, and goes on."""

    async def goes_on(self, run, step):
        """Whatever it is told."""
        await run.goes_on()
        return True


class Humouring(Heedless):
    """Asks until it hears what it does not like."""

    told = False

    async def goes_on(self, run, step):
        """Then it asks no more, and goes on."""
        self.told = self.told or not await run.goes_on()
        return True


class Mute(Picker):
    """Has rounds, and does not ask."""

    async def goes_on(self, run, step):
        """It always does."""
        return True


class Sulking(Picker):
    """Fails when it is asked to stop."""

    async def goes_on(self, run, step):
        """That is no good end."""
        if not await run.goes_on():
            raise RuntimeError("I was not finished")
        return True


class Leaving(Picker):
    """Leaves a thread behind when it is cancelled."""

    async def outcomes(self, run, tasks):
        """Nobody ends it."""
        LEFT.clear()
        threading.Thread(target=LEFT.wait, name="left", daemon=True).start()
        found = await run.rollouts(tasks, label="try")
        LEFT.set()
        return found


KILLED = "test_killed_at_any_movement_and_resumed_it_ends_the_same"
CANCELLED = "test_cancelled_anywhere_it_leaves_nothing_and_can_be_resumed"
STOPPED = "test_asked_to_stop_it_ends_in_good_order"
REPLAYED = "test_it_takes_time_ids_and_chance_from_the_run"
LOST = "test_nothing_of_what_it_asked_for_is_lost"
FAULTS = [
    ("test_the_same_seed_gives_the_same_run", Dicing, "assert"),
    (KILLED, Dicing, "killed before it kept"),
    (REPLAYED, Dated, r"arguments\[1\] was"),
    (REPLAYED, Minting, r"in Minting.pick: arguments\[1\] was"),
    (REPLAYED, Dicing, "in Dicing|in Picker"),
    ("test_killed_again_and_again_it_ends_the_same", Remembering, "assert"),
    ("test_an_agent_that_fails_is_no_accident", Clumsy, "division by zero"),
    ("test_it_is_durable", Direct, "is_durable"),
    ("test_it_ends", Idle, "movements"),
    ("test_a_log_that_says_otherwise_stops_it", Deafened, "DID NOT RAISE"),
    (LOST, Wasteful, "whose outcomes nobody read"),
    (STOPPED, Heedless, "asked again"),
    (STOPPED, Humouring, "as much as if nobody had asked"),
    (STOPPED, Mute, "never asks"),
    (STOPPED, Sulking, "I was not finished"),
    (CANCELLED, Leaving, "left"),
]


def broken(contract, promise, faulty, said, given):
    """The promise is not kept, for that reason."""
    kept = getattr(contract, promise)
    lives = Lives(faulty, given["agent"], given["tasks"], given["options"], given["tmp_path"])
    given = {**given, "make": faulty, "lives": lives}

    with pytest.raises((AssertionError, AglError, ArithmeticError, RuntimeError, pytest.fail.Exception), match=said):
        kept(**{name: given[name] for name in signature(kept).parameters})


class TestPicker(AlgorithmContract):
    """It keeps them all."""

    @pytest.fixture
    def make(self):
        """As it should be."""
        return Picker

    @pytest.mark.parametrize(("promise", "faulty", "said"), FAULTS)
    def test_a_fault_is_found_by_the_promise_that_it_breaks(
        self, promise, faulty, said, agent, tasks, options, tmp_path, monkeypatch
    ):
        """The contract can fail."""
        given = {"agent": agent, "tasks": tasks, "options": options, "tmp_path": tmp_path, "monkeypatch": monkeypatch}

        try:
            broken(self, promise, faulty, said, given)
        finally:
            LEFT.set()


def test_time_ids_and_chance_of_the_run_keep_the_promise(tmp_path, monkeypatch):
    """They are the same in every life."""
    given = AlgorithmContract()
    tasks = {"train": [{"n": n} for n in range(4)]}

    given.test_it_takes_time_ids_and_chance_from_the_run(Lives(Proper, idle, tasks, {}, tmp_path), monkeypatch)


class TestAskerFaults(Asking):
    """Those that only a model that is asked brings out."""

    def test_a_forged_batch_is_found(self, agent, tasks, options, tmp_path):
        """Its calls are in the log."""
        given = {"agent": agent, "tasks": tasks, "options": options, "tmp_path": tmp_path}

        broken(AlgorithmContract(), LOST, Forging, "policy calls of its rollouts", given)

    def test_rows_of_masked_rollouts_are_found(self, tasks, options, tmp_path):
        """An adapter that does not look makes them."""
        given = {"agent": mishap, "tasks": tasks, "options": options, "tmp_path": tmp_path}

        broken(AlgorithmContract(), LOST, Indiscriminate, "calls of masked rollouts became rows", given)

    def test_calls_past_the_budget_are_found(self, agent, tasks, options, provider, tmp_path, monkeypatch):
        """At the provider, who counts."""
        monkeypatch.setitem(PAST, "url", provider.url)
        given = {"agent": agent, "tasks": tasks, "options": options, "provider": provider, "tmp_path": tmp_path}

        broken(AlgorithmContract(), "test_a_budget_is_kept_to", Impatient, "requests at the provider", given)


@pytest.mark.slow
class TestAsker(Asking, AlgorithmContract):
    """It keeps them all, with models to ask."""

    @pytest.fixture
    def make(self):
        """Two rounds."""
        return Asker


@pytest.mark.slow
class TestAskerKilled(Asking, AlgorithmKillContract):
    """By processes that die, while models are asked."""

    @pytest.fixture
    def make(self):
        """Two rounds."""
        return Asker
