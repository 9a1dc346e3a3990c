"""Groups in the air: those that land first are trained on first, and a run that is resumed is told of the same ones."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.errors import AmbiguousLabel, BadValue, ReplayDiverged, TooManyFailed
from agl_core.log import verify
from agl_core.trainer import Trainer


class Interrupted(Exception):
    """What a test raises where a process would die."""


class Sky:
    """A log, and an agent whose rollouts end when the test lets them."""

    def __init__(self, folder: Path) -> None:
        self.log = str(folder / "log.db")
        self.begun: list[int] = []
        self.held: dict[int, threading.Event] = {}

    def hold(self, *numbers: int) -> None:
        """Rollouts of these tasks wait."""
        self.held |= {number: threading.Event() for number in numbers}

    def let(self, *numbers: int) -> None:
        """And come to their ends."""
        for number in numbers:
            self.held[number].set()

    def fit(self, algorithm, *, resume=None, n_runners=16, **options):
        """One life of a run."""

        @agl.rollout
        def agent(task) -> float:
            self.begun.append(task["n"])
            if task["n"] in self.held:
                assert self.held[task["n"]].wait(20)
            if task["n"] < 0:
                raise LookupError("no such task")
            return float(task["n"])

        trainer = Trainer(
            algorithm=agl.algo(algorithm), store=self.log, preflight=False, n_runners=n_runners,
            rollout_config=agl.RolloutConfig(max_attempts=1), **options,
        )  # fmt: skip
        return trainer.fit(
            agent, [{"n": n} for n in range(8)], resume=resume, **({} if resume else {"run_id": "run-1"})
        )

    def rows(self, sql):
        """What the log answers."""
        with agl.open_log(self.log, readonly=True) as log:
            return log.rows(sql)


@pytest.fixture
def sky(tmp_path, monkeypatch):
    """A fresh one, with no plugin but ours."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    sky = Sky(tmp_path)
    yield sky
    sky.let(*sky.held)


def numbers(landed):
    """The tasks of the groups, a number each."""
    return [group.outcomes[0].task["n"] for group in landed]


def test_the_groups_that_end_first_land_first_and_others_stay_up(sky):
    """Whole groups, in the order of their launch; how long each was up is counted in landings."""
    sky.hold(0, 2)
    told = []

    async def flying(run: agl.Run) -> None:
        flight = run.flight("train", repeat=2)
        await flight.launch(run.train[:4])
        told.append((await flight.landed(2), flight.in_air))
        await flight.launch(run.train[4:6])
        told.append((await flight.landed(2), flight.in_air))
        sky.let(0, 2)
        told.append((await flight.landed(2), flight.in_air))

    sky.fit(flying)

    assert [(numbers(landed), in_air) for landed, in_air in told] == [([1, 3], 2), ([4, 5], 2), ([0, 2], 0)]
    assert [[group.age for group in landed] for landed, _ in told] == [[0, 0], [0, 0], [2, 2]]
    assert [[outcome.repeat for outcome in group.outcomes] for group in told[0][0]] == [[0, 1], [0, 1]]
    assert sorted(sky.begun) == [n for n in range(6) for _ in range(2)]


def test_a_group_lands_whole(sky):
    """Two samples of three are no group: another one that is complete goes first."""
    last = threading.Event()
    seen: list[int] = []

    @agl.rollout
    def agent(task, rollout) -> float:
        if task["n"] == 0 and rollout.repeat == 2:
            assert last.wait(20)
        return 1.0

    async def flying(run: agl.Run) -> None:
        flight = run.flight("train", repeat=3)
        await flight.launch(run.train)
        seen.extend(numbers(await flight.landed(1)))
        last.set()
        seen.extend(numbers(await flight.landed(1)))

    trainer = Trainer(algorithm=agl.algo(flying), store=sky.log, preflight=False, n_runners=8)
    trainer.fit(agent, [{"n": 0}, {"n": 1}])

    assert seen == [1, 0]


@pytest.mark.parametrize("place", [1, 2, 3, 4, 6])
def test_a_resumed_run_is_told_of_the_groups_that_landed_then(sky, place):
    """Whichever would be first now; what had ended is not run again, and what was in the air is."""
    sky.hold(0)

    def algorithm(landed, die_at=None):
        async def flying(run: agl.Run) -> None:
            places = iter(range(100))

            def at() -> None:
                if next(places) == die_at:
                    raise Interrupted

            flight = run.flight("train", repeat=2)
            at()
            await flight.launch(run.train[:3])
            at()
            for _ in range(2):
                landed.append(numbers(await flight.landed(1)))
                at()
            await flight.launch(run.train[3:4])
            at()
            landed.append(numbers(await flight.landed(1)))
            at()
            sky.let(0)
            landed.append(numbers(await flight.landed(1)))
            at()

        return flying

    first, again = [], []
    with pytest.raises(Interrupted):
        sky.fit(algorithm(first, place))
    sky.let(0)  # now it would be the first

    summary = sky.fit(algorithm(again), resume="run-1")

    assert summary.status == "finished"
    assert again[: len(first)] == first
    assert sorted(n for landed in again for n in landed) == [0, 1, 2, 3]
    assert sky.rows("select count(*), sum(status = 'succeeded') from rollouts") == [(8, 8)]
    with agl.open_log(sky.log, readonly=True) as log:
        assert not list(verify(log))


def test_another_number_of_groups_is_told_where_the_code_parted(sky):
    """What was taken then cannot be taken otherwise now."""

    def algorithm(count, *, dies):
        async def flying(run: agl.Run) -> None:
            flight = run.flight("train")
            await flight.launch(run.train[:3])
            await flight.landed(count)
            if dies:
                raise Interrupted

        return flying

    with pytest.raises(Interrupted):
        sky.fit(algorithm(1, dies=True))

    with pytest.raises(ReplayDiverged, match="landed/train/0"):
        sky.fit(algorithm(2, dies=False), resume="run-1")


def test_other_tasks_are_told_too(sky):
    """As they are of a round that is waited for."""

    def algorithm(*, dies):
        async def flying(run: agl.Run) -> None:
            flight = run.flight("train")
            await flight.launch(run.train[:3] if dies else run.train[1:4])
            if dies:
                raise Interrupted
            await flight.landed(1)

        return flying

    with pytest.raises(Interrupted):
        sky.fit(algorithm(dies=True))

    with pytest.raises(ReplayDiverged, match="launch/train/0"):
        sky.fit(algorithm(dies=False), resume="run-1")


def test_a_flight_that_is_called_off_leaves_nothing_in_the_queue(sky):
    """Its rollouts are cancelled: they are in no batch, and the run ends without them."""
    sky.hold(1)
    called = []

    async def flying(run: agl.Run) -> None:
        flight = run.flight("train")
        await flight.launch(run.train[:4])
        await flight.landed(1)
        called.append((await flight.call_off("enough is known"), flight.in_air))
        sky.let(1)

    sky.fit(flying, n_runners=1)

    assert called == [(3, 0)]
    assert sky.rows("select status, count(*) from rollouts group by 1 order by 1") == [
        ("cancelled", 3),
        ("succeeded", 1),
    ]


@pytest.mark.parametrize("count", [0, 3])
def test_what_is_not_in_the_air_cannot_land(sky, count):
    """To wait for it would be to wait for ever."""

    async def flying(run: agl.Run) -> None:
        flight = run.flight("train")
        await flight.launch(run.train[:2])
        await flight.landed(count)

    with pytest.raises(BadValue, match="2 group"):
        sky.fit(flying)


def test_two_landings_at_once_are_refused(sky):
    """Which would come first is chance."""

    async def flying(run: agl.Run) -> None:
        flight = run.flight("train")
        await flight.launch(run.train[:2])
        with pytest.raises(AmbiguousLabel):
            await asyncio.gather(flight.landed(1), flight.landed(1))

    sky.fit(flying)


def test_of_groups_that_fail_too_many_stop_the_run(sky):
    """As of a round."""

    async def flying(run: agl.Run) -> None:
        flight = run.flight("train")
        await flight.launch([{"n": -1}, {"n": -2}])
        await flight.landed(2)

    with pytest.raises(TooManyFailed, match="2 of 2"):
        sky.fit(flying, max_failed_fraction=0.5)


def test_a_judge_is_heard_before_a_group_lands(sky):
    """And gives its number once, also to a group that was not taken when it was complete."""

    class Slow(agl.Hook):
        def __init__(self) -> None:
            self.heard: list[int] = []

        async def on_succeeded(self, *, rollout, store, **_others) -> None:
            self.heard.append(rollout.input["n"])
            await store.add_reward(rollout.rollout_id, 100.0 + rollout.input["n"], judge="slow")

    rewards = []

    async def flying(run: agl.Run) -> None:
        flight = run.flight("train")
        await flight.launch(run.train[:4])
        for _ in range(4):
            rewards.extend(outcome.reward for group in await flight.landed(1) for outcome in group.outcomes)

    hook = Slow()
    sky.fit(flying, hooks=[hook])

    assert sorted(rewards) == [100.0, 101.0, 102.0, 103.0]
    assert sorted(hook.heard) == [0, 1, 2, 3]
