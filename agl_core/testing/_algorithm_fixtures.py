"""What a contract of algorithms is told: the algorithm, its agent and tasks; and runs of it that its tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from agl_core.agents import LitAgent, rollout
from agl_core.algorithm import Algorithm
from agl_core.ids import task_id
from agl_core.testing._algorithm_images import Image
from agl_core.testing._algorithm_lives import Lives
from agl_core.testing._scripted_model import ScriptedModel

__all__ = ["AlgorithmFixtures", "ends_the_same", "spread"]

_LIVES: WeakKeyDictionary[type, Lives] = WeakKeyDictionary()
"""Of each class, so that its tests share the run that nobody kills."""


class AlgorithmFixtures:
    """Override `make`; the others where the algorithm needs others."""

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
    def provider(self) -> ScriptedModel | None:
        """The server behind `models`, where it is one that counts what it is asked."""
        return None

    @pytest.fixture
    def lives(
        self,
        make: Callable[[], Algorithm],
        agent: LitAgent[Any],
        tasks: Mapping[str, Sequence[Any]],
        options: Mapping[str, Any],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Lives:
        """Runs of the algorithm."""
        if type(self) not in _LIVES:
            _LIVES[type(self)] = Lives(make, agent, tasks, options, tmp_path_factory.mktemp("lives"))
        # What a fixture opens for one test is closed for the next.
        return _LIVES[type(self)].taken_up(make, agent, tasks, options)


def ends_the_same(lives: Lives, images: Iterable[Image]) -> None:
    """Resumed from each of them, the run ends as the one that nobody killed."""
    whole = lives.whole()
    for image in images:
        resumed = lives.resumed(image, f"killed-{image.head}")

        assert resumed.told() == whole.told(), f"killed before it kept {image.before}"
        assert resumed.faults == []


def spread(given: Sequence[Any], most: int) -> list[Any]:
    """So many of them at most, evenly, the first and the last among them."""
    if len(given) <= most:
        return list(given)
    return [given[round(place * (len(given) - 1) / max(1, most - 1))] for place in range(most)]


@rollout
def _agent(task: Any) -> float:
    """Earns between 0 and 1, by the task alone."""
    return int(task_id(task)[-4:], 32) / 32**4
