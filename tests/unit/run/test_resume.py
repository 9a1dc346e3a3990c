"""Resume is replay: what is recorded returns at once, what is missing is done, and nothing is done twice."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.adapter import Adapted
from agl_core.engine import Checkpoint, Endpoint
from agl_core.errors import (
    AmbiguousLabel,
    CaptureNone,
    NoRunnersLeft,
    ReplayDiverged,
    RewardMissing,
    RunHeld,
    RunNotResumable,
    StepFailed,
)
from agl_core.hookspecs import hookimpl
from agl_core.log import Owner, verify
from agl_core.plugins import Plugins
from agl_core.run import _rounds as rounds
from agl_core.store import Store
from agl_core.testing import ScriptedEngine
from agl_core.trainer import Trainer


class Interrupted(Exception):
    """What a test raises where a process would die."""


class Engine(ScriptedEngine):
    """A scripted engine that says where its first weights lie."""

    def __init__(self, folder: Path, loaded: list[tuple[str, int]]) -> None:
        super().__init__("4")
        self.folder, self.seen = folder, loaded

    async def start(self) -> Endpoint:
        """Listen, and say where the weights are."""
        endpoint = await super().start()
        return Endpoint(url=endpoint.url, model=endpoint.model, max_len=endpoint.max_len, folder=self.folder)

    async def load(self, checkpoint: Checkpoint, *, version: int) -> None:
        """Remember what was asked for."""
        assert (checkpoint.folder / "weights").exists(), "an engine is only ever given files that are there"
        self.seen.append(((checkpoint.folder / "weights").read_text(), version))
        await super().load(checkpoint, version=version)


class World:
    """One log and what happens around it, over several processes' worth of trainers."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log.db"
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "weights").write_text("0")
        self.loaded: list[tuple[str, int]] = []
        self.ran: list[int] = []
        self.met: list[str] = []
        """The weights that were served when an agent ran."""

    def trainer(self, algorithm, **options) -> Trainer:
        """As a process would make it."""
        plugins = Plugins.load()

        class Opens:
            @hookimpl
            def agl_open_engine(_self, url):  # noqa: N805 - `self` is the world here
                return Engine(self.model, self.loaded) if url == "scripted:" else None

        plugins.register(Opens(), name="scripted")
        options = {"n_runners": 4, **options}
        return Trainer(
            algorithm=algorithm, models={"policy": "scripted:"}, store=str(self.log), plugins=plugins, **options
        )

    def fit(self, algorithm, *, resume=None, run_id="run-1", **options):
        """One life of the run."""

        @agl.rollout
        async def agent(task) -> float:
            self.ran.append(task["n"])
            self.met.append(self.loaded[-1][0] if self.loaded else "0")
            return float(task["n"])

        tasks = [{"n": n} for n in range(4)]
        return self.trainer(algorithm, **options).fit(
            agent, tasks, test_dataset=[{"n": 9}], resume=resume, run_id=run_id
        )


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A fresh one, with no plugin but ours."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    return World(tmp_path)


class Learns:
    """Three rounds; `die_at` names the place where the process would be gone."""

    name = "learns"

    def __init__(self, *, die_at: str = "", keep_every: int = 1, counts: dict[str, int] | None = None) -> None:
        self.die_at, self.keep_every = die_at, keep_every
        self.counts = counts if counts is not None else {}

    def _at(self, place: str) -> None:
        self.counts[place] = self.counts.get(place, 0) + 1
        if place == self.die_at:
            raise Interrupted(place)

    def add_one(self, checkpoint: Checkpoint, out: Path, rewards: list[float]) -> dict[str, float]:
        """The weights are a number; an update adds one to it."""
        self._at(f"update-{(checkpoint.folder / 'weights').read_text()}")
        (out / "weights").write_text(str(int((checkpoint.folder / "weights").read_text()) + 1))
        return {"rewards": sum(rewards)}

    async def run(self, run) -> None:
        """Every kind of movement there is."""
        theta = first = run.policy()
        for step in range(3):
            picked = run.rng("tasks").sample(run.train, 2)
            outcomes = await run.rollouts(picked, label="train")
            self._at(f"rolled-{step}")
            note = await run.step("note", self.note, step)
            rewards = [outcome.reward for outcome in outcomes]
            updated = await run.update("update", self.add_one, theta, rewards, keep=step % self.keep_every == 0)
            theta = updated.checkpoint
            await run.serve(theta)
            assert run.version() == step + 1  # also when what was served is only read back
            run.log(step=step, reward=sum(rewards), note=note)
            self._at(f"served-{step}")
        await run.examine(before=first, after=theta)

    def note(self, step: int) -> int:
        """An effect without a state."""
        self._at(f"note-{step}")
        return step * 10


PLACES = ["rolled-0", "note-1", "update-1", "served-0", "rolled-2", "served-2"]


@pytest.mark.parametrize("place", PLACES)
def test_a_resumed_run_ends_like_one_that_was_never_interrupted(world, place):
    """Same rollouts, same metrics, same result; each effect carried out to its end once."""
    with pytest.raises((Interrupted, StepFailed)):
        world.fit(Learns(die_at=place))
    counts: dict[str, int] = {}
    summary = world.fit(Learns(counts=counts), resume="run-1")

    assert summary.status == "finished"
    with agl.open_log(str(world.log), readonly=True) as log:
        rollouts = log.rows("select grp, count(*), sum(status = 'succeeded') from rollouts group by 1")
        metrics = log.rows("select name, step, value from metrics where name = 'note' order by step")
        updates = log.rows("select count(*) from events where type = 'step.recorded'")[0][0]
        assert not list(verify(log))
    assert sorted((count, done) for _, count, done in rollouts) == [(1, 1), (1, 1), (2, 2), (2, 2), (2, 2)]
    assert metrics == [("note", 0, 0.0), ("note", 1, 10.0), ("note", 2, 20.0)]
    assert updates == 6
    assert len(world.ran) == 8, "no finished rollout is run again"


def test_the_draws_of_a_resumed_run_are_those_of_the_first(world):
    """Named random streams start again from the seed, so replay asks for the same tasks."""
    with pytest.raises(Interrupted):
        world.fit(Learns(die_at="rolled-2"))
    before = list(world.ran)

    world.fit(Learns(), resume="run-1")

    assert world.ran[: len(before)] == before
    assert len(world.ran) == 8


def test_weights_that_were_not_kept_are_made_again_from_the_last_that_were(world):
    """Only checkpoint 0 and 3 are on disk: resuming after round 2 re-runs updates, and no rollout."""
    with pytest.raises(Interrupted):
        world.fit(Learns(die_at="served-1", keep_every=100))
    shutil.rmtree(world.log.parent / "log.db.d" / "scratch")
    world.loaded.clear()
    counts: dict[str, int] = {}

    world.fit(Learns(keep_every=100, counts=counts), resume="run-1")

    assert [weights for weights, _ in world.loaded] == ["2", "3", "0", "3"]
    assert counts["update-1"] == 1, "the update after the last kept checkpoint is made again"
    assert "update-0" not in counts, "what was kept is not"
    assert len(world.ran) == 8


def test_engines_load_nothing_while_the_log_answers(world):
    """On replay weights are only asked for when something is done for real."""
    with pytest.raises(Interrupted):
        world.fit(Learns(die_at="served-2"))
    world.loaded.clear()

    world.fit(Learns(), resume="run-1")

    assert [weights for weights, _ in world.loaded] == ["0", "3"] or [w for w, _ in world.loaded] == ["3"]


def test_rollouts_that_were_left_behind_meet_the_weights_of_their_round(world):
    """A runner must not take them while the engine still has the first weights."""
    with pytest.raises(NoRunnersLeft):
        world.fit(Learns(), n_runners=1, max_rollouts=5)
    world.loaded.clear()
    world.met.clear()

    world.fit(Learns(), resume="run-1")

    assert world.met == ["2", "0", "3"]


def test_the_same_weights_keep_their_version(world):
    """The first policy speaks as version 0 again when it is examined."""
    world.fit(Learns())

    assert world.loaded == [("1", 1), ("2", 2), ("3", 3), ("0", 0), ("3", 3)]


def test_code_that_asks_for_something_else_is_told_where_it_parted(world):
    """Another argument, another seed, another number of rollouts: each is `ReplayDiverged`."""
    with pytest.raises(Interrupted):
        world.fit(Learns(die_at="served-1"))

    class Other(Learns):
        async def run(self, run):
            await run.rollouts(run.train, label="train")

    with pytest.raises(ReplayDiverged, match="rollouts/train/0"):
        world.fit(Other(), resume="run-1")


def test_resources_that_were_published_are_found_again(world):
    """The same prompt is the same, however the log sorts its fields; another prompt is told so."""

    class Prompts:
        name = "prompts"

        def __init__(self, text, *, dies):
            self.text, self.dies = text, dies

        async def run(self, run):
            bundle = await run.publish({"prompt": agl.PromptTemplate(template=self.text)})
            if self.dies:
                raise Interrupted
            await run.rollouts(run.train, resources=bundle)

    with pytest.raises(Interrupted):
        world.fit(Prompts("Add up {n}", dies=True))

    with pytest.raises(ReplayDiverged, match="Count"):
        world.fit(Prompts("Count {n}", dies=False), resume="run-1")
    assert world.fit(Prompts("Add up {n}", dies=False), resume="run-1").status == "finished"


def test_a_finished_run_is_not_resumed(world):
    """There is nothing left to do."""
    world.fit(Learns())

    with pytest.raises(RunNotResumable, match="finished"):
        world.fit(Learns(), resume="run-1")


def test_two_movements_of_one_name_at_once_are_refused(world):
    """Their order would be chance; scopes tell them apart."""

    class Both:
        name = "both"

        async def run(self, run):
            with pytest.raises(AmbiguousLabel):
                await asyncio.gather(*(run.rollouts(run.train, label="x") for _ in range(2)))

    class Scoped:
        name = "scoped"

        async def run(self, run):
            await asyncio.gather(*(run.scope(name).rollouts(run.train, label="x") for name in "ab"))

    world.fit(Both(), run_id="run-both")
    assert world.fit(Scoped(), run_id="run-scoped").status == "finished"


def test_one_process_at_a_time_holds_a_run(world):
    """The second is told who has it; when the holder is dead, the run is free."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with agl.open_log(str(world.log)) as log:

            def take(view):
                view.in_flight.put("run", "run-1", owner=Owner.of(other.pid))
                return []

            log.transact(take)
        with pytest.raises(RunHeld, match=str(other.pid)):
            world.fit(Learns())
        other.kill()

    assert world.fit(Learns()).status == "finished"


def rewarded_late(world, label, values):
    """Somebody gives those rewards to the rollouts of a round, in its order; None takes away the one there is."""

    async def story(store):
        sql = "select rollout_id from rollouts where grp like ? order by position"
        for (rollout_id,), value in zip(store.log.rows(sql, (f"%/rollouts/{label}",)), values, strict=True):
            if value is not None:
                await store.add_reward(rollout_id, value, judge="later")
            else:
                ((given,),) = store.log.rows("select id from rewards where rollout_id = ?", (rollout_id,))
                await store.withdraw_reward(rollout_id, given, "it was for another answer")

    with agl.open_log(str(world.log)) as log:
        store = Store(log)
        asyncio.run(story(store))
        store.close()


class Tells(Learns):
    """Keeps what it was told, and dies when all of it was."""

    def __init__(self, *, dies: bool = False) -> None:
        super().__init__()
        self.dies, self.told = dies, []

    async def run(self, run):
        """Two rounds and the sealed split."""
        for _ in range(2):
            self.told.append([outcome.reward for outcome in await run.rollouts(run.train, label="train")])
        theta = await run.update("update", self.add_one, run.policy(), [1.0])
        found = await run.examine(before=run.policy(), after=theta.checkpoint)
        self.told.append(found.to_json())
        if self.dies:
            raise Interrupted


@pytest.mark.parametrize(
    "values", [[100.0] * 4, [None] * 4, [None, 7.0, 7.0, None]], ids=["late", "taken back", "both"]
)
def test_a_resumed_run_is_told_what_it_was_told(world, values):
    """Whatever anybody says of those rollouts since: of training and of the sealed split."""
    first, again = Tells(dies=True), Tells()
    with pytest.raises(Interrupted):
        world.fit(first)
    rewarded_late(world, "train/0", values)
    rewarded_late(world, "test-before/0", values[:1])

    summary = world.fit(again, resume="run-1")

    assert first.told == again.told
    assert summary.result["reward_before"]["mean"] == 9.0
    with agl.open_log(str(world.log), readonly=True) as log:
        assert log.rows("select count(*) from events where type = 'outcomes.read'") == [(4,)]


def test_what_is_said_before_a_run_has_heard_of_it_counts(world, monkeypatch):
    """Killed after the last rollout and before it was told: nobody was told anything else."""

    async def gone(*_arguments):
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(rounds, "read_as_of", gone)
        with pytest.raises(Interrupted):
            world.fit(Tells())
    rewarded_late(world, "train/0", [100.0] * 4)
    again = Tells()

    world.fit(again, resume="run-1")

    assert again.told[0] == [100.0] * 4


def test_a_log_that_does_not_say_when_outcomes_were_read_goes_on_as_before(world, monkeypatch):
    """One that was begun by an older version: its run is told what the log knows now."""

    async def head(journal, _movement):
        return journal.log.head()

    with monkeypatch.context() as patched:
        patched.setattr(rounds, "read_as_of", head)
        with pytest.raises(Interrupted):
            world.fit(Tells(dies=True))
    rewarded_late(world, "train/1", [100.0] * 4)
    again = Tells()

    assert world.fit(again, resume="run-1").status == "finished"
    assert again.told[:2] == [[0.0, 1.0, 2.0, 3.0], [100.0] * 4]


def test_rollouts_without_reward_fail_the_run(world):
    """A missing reward is never a zero."""

    @agl.rollout
    async def silent(task) -> None:
        return None

    class Adapts:
        name = "adapts"

        async def run(self, run):
            run.adapt(await run.rollouts(run.train), Nothing())

    with pytest.raises(RewardMissing, match="4 finished"):
        world.trainer(Adapts()).fit(silent, [{"n": n} for n in range(4)])


def test_an_agent_that_never_calls_the_model_fails_the_run(world):
    """Training on nothing is not training."""

    class Adapts:
        name = "adapts"

        async def run(self, run):
            run.adapt(await run.rollouts(run.train), Nothing())

    with pytest.raises(CaptureNone):
        world.fit(Adapts())


class Nothing:
    """An adapter that finds no call."""

    name = "nothing"

    def __call__(self, traces):
        """No row, whatever the traces."""
        return Adapted(rows=(), kept=0)
