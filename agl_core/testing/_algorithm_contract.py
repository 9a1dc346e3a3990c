"""What every algorithm promises, as tests to inherit: killed at any movement and resumed, it ends the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agl_core.agents import LitAgent, rollout
from agl_core.algorithm import Algorithm, is_durable
from agl_core.errors import AglError
from agl_core.ids import task_id
from agl_core.log import SqliteLog, verify
from agl_core.projections import CORE
from agl_core.run import Run
from agl_core.trainer import Trainer

__all__ = ["AlgorithmContract"]

_MOVEMENTS = (
    "adapt", "ask", "examine", "goes_on", "log", "promote", "publish", "rollouts", "serve", "spending", "step",
    "update",
)  # fmt: skip
_DEATHS = 5
"""In so many places a run is killed; of a long run, spread over all of it."""
_LIVES = 3
"""In the run that is killed again and again."""


class AlgorithmContract:
    """Inherit, and override `make`; and `agent`, `tasks` and `options` where the algorithm needs others."""

    @pytest.fixture
    def make(self) -> Callable[[], Algorithm]:
        """Makes the algorithm, small enough for a run of seconds, and afresh: no two lives of a run share one."""
        raise NotImplementedError("override the fixture `make`")

    @pytest.fixture
    def agent(self) -> LitAgent[Any]:
        """What is improved; the same task earns it the same reward. By default it asks no model."""
        return _agent

    @pytest.fixture
    def tasks(self) -> Mapping[str, Sequence[Any]]:
        """`train`, `val` and `test`."""
        return {split: [{"split": split, "n": n} for n in range(4)] for split in ("train", "val", "test")}

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """More arguments of the trainer: `models`, `plugins`, `initial_resources`."""
        return {}

    @pytest.fixture
    def lives(
        self,
        make: Callable[[], Algorithm],
        agent: LitAgent[Any],
        tasks: Mapping[str, Sequence[Any]],
        options: Mapping[str, Any],
        tmp_path: Path,
    ) -> _Lives:
        """Runs of the algorithm."""
        return _Lives(make, agent, tasks, options, tmp_path)

    # --- a run

    def test_it_is_durable(self, make: Callable[[], Algorithm]) -> None:
        """It has a name, and works through the run that it is handed."""
        algorithm = make()

        assert isinstance(algorithm.name, str)
        assert algorithm.name
        assert is_durable(algorithm)

    def test_it_ends(self, lives: _Lives) -> None:
        """With something recorded, a result that is plain JSON, and a log that verifies."""
        story = lives.whole("whole")

        assert story.movements
        assert story.result is not None
        assert story.faults == []

    def test_the_same_seed_gives_the_same_run(self, lives: _Lives) -> None:
        """The same tasks in the same order, the same decisions, the same result: chance comes from `run.rng`."""
        first, again = lives.whole("first"), lives.whole("again")

        assert again.told() == first.told()

    def test_an_agent_that_fails_is_no_accident(
        self, make: Callable[[], Algorithm], tasks: Mapping[str, Sequence[Any]], options: Mapping[str, Any],
        tmp_path: Path,
    ) -> None:  # fmt: skip
        """Of no rollout comes a reward: the run ends, or says in an error with a code why it cannot go on."""
        lives = _Lives(make, _failing, tasks, {**options, "n_runners": 4}, tmp_path)

        try:
            lives.whole("failing")
        except AglError as error:
            assert error.code  # noqa: PT017 - either end is a good one

    # --- killed, and resumed

    def test_killed_at_any_movement_and_resumed_it_ends_the_same(self, lives: _Lives) -> None:
        """What is recorded is not done again, what is missing is done, and nothing else comes of it."""
        whole = lives.whole("whole")
        count = len(whole.movements)
        places = sorted({round(place * count / _DEATHS) for place in range(1, _DEATHS + 1)} | {1})

        for place in places:
            resumed = lives.resumed(f"killed-{place}", [place])

            assert resumed.told() == whole.told(), f"killed before movement {place}: {whole.movements[place - 1]}"
            assert resumed.faults == []

    def test_killed_again_and_again_it_ends_the_same(self, lives: _Lives) -> None:
        """Each life goes a little further."""
        whole = lives.whole("whole")
        count = len(whole.movements)

        resumed = lives.resumed("killed", [max(1, life * count // _LIVES) for life in range(1, _LIVES + 1)])

        assert resumed.told() == whole.told()
        assert resumed.faults == []


@rollout
def _agent(task: Any) -> float:
    """Earns between 0 and 1, by the task alone."""
    return int(task_id(task)[-4:], 32) / 32**4


@rollout
def _failing(task: Any) -> float:
    """Never earns anything."""
    raise RuntimeError(f"nobody can do {task}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Story:
    """A run from its beginning to its end."""

    result: dict[str, Any] | None
    movements: tuple[str, ...]
    """Of its last life."""
    rollouts: tuple[Any, ...]
    steps: tuple[str, ...]
    metrics: tuple[Any, ...]
    """Names and steps: a value may be a duration."""
    started: int
    """Attempts."""
    faults: list[str]

    def told(self) -> tuple[Any, ...]:
        """What must be the same, however often it was killed."""
        return self.result, self.rollouts, self.steps, self.metrics, self.started


class _Killed(Exception):
    """A process would be gone."""


class _Lives:
    """Makes runs, in a folder each."""

    def __init__(
        self,
        make: Callable[[], Algorithm],
        agent: LitAgent[Any],
        tasks: Mapping[str, Sequence[Any]],
        options: Mapping[str, Any],
        folder: Path,
    ) -> None:
        self._make, self._agent, self._tasks, self._folder = make, agent, tasks, folder
        self._options = {"n_runners": 2, **options}

    def whole(self, name: str) -> _Story:
        """One that nobody kills."""
        return self.resumed(name, [])

    def resumed(self, name: str, deaths: Sequence[int]) -> _Story:
        """One that is killed right before these movements, in turn, and resumed by a fresh algorithm."""
        path = self._folder / f"{name}.db"
        run_id = None
        for life, death in enumerate(deaths):
            mortal = _Mortal(self._make(), death)
            with pytest.raises(_Killed):
                self._live(path, mortal, run_id, life)
            run_id = "run-contract"
        last = _Mortal(self._make(), None)
        summary = self._live(path, last, run_id, len(deaths))
        return _story(path, json.loads(json.dumps(summary.result)), last.movements)

    def _live(self, path: Path, mortal: _Mortal, run_id: str | None, life: int) -> Any:
        tasks, before = self._tasks, random.getstate()
        # Chance that does not come from the run is another in every process.
        random.seed(f"{path.name} {life}")
        trainer = Trainer(algorithm=mortal, store=str(path), seed=7, **self._options)
        try:
            return trainer.fit(
                self._agent,
                tasks.get("train"),
                val_dataset=tasks.get("val"),
                test_dataset=tasks.get("test"),
                **({"run_id": "run-contract"} if run_id is None else {"resume": run_id}),
            )
        finally:
            random.setstate(before)


class _Mortal:
    """The algorithm, whose process is gone before it makes a certain movement."""

    def __init__(self, algorithm: Algorithm, death: int | None) -> None:
        self.name = algorithm.name
        self.movements: list[str] = []
        self._algorithm, self._death = algorithm, death

    async def run(self, run: Run) -> None:
        """Its own, with a hand in between that counts."""
        hand: Any = _Hand(run, self._count)
        await self._algorithm.run(hand)

    def _count(self, movement: str) -> None:
        if self._death is not None and len(self.movements) + 1 >= self._death:
            raise _Killed(f"before movement {len(self.movements) + 1}, {movement}")
        self.movements.append(movement)


class _Hand:
    """A run; every movement that is made through it is counted first."""

    def __init__(self, run: Run, count: Callable[[str], None]) -> None:
        self._run, self._count = run, count

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._run, name)
        if name == "scope":
            return lambda scope: _Hand(found(scope), self._count)
        if name not in _MOVEMENTS:
            return found

        def counted(*arguments: Any, **named: Any) -> Any:
            self._count(name)
            return found(*arguments, **named)

        return counted


def _story(path: Path, result: dict[str, Any], movements: Sequence[str]) -> _Story:
    with SqliteLog(path, projections=CORE, readonly=True) as log:
        rollouts = log.rows("select grp, task_id, repeat, mode, status from rollouts order by grp, task_id, repeat")
        # What they were asked may name rollouts, whose ids are others in every run.
        asked = "select json_extract(data, '$.label') from events where type = 'step.recorded'"
        steps = [str(label) for (label,) in log.rows(asked)]
        return _Story(
            result=result,
            movements=tuple(movements),
            rollouts=tuple(rollouts),
            steps=tuple(sorted(steps)),
            metrics=tuple(log.rows("select step, name from metrics order by step, name")),
            started=sum(1 for _ in log.read(types=["attempt.started"])),
            faults=[str(fault) for fault in verify(log)],
        )
