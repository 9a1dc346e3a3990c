"""Time, ids and chance come through the run: read back, or made again; and one more of them shifts no other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

import agl_core as agl
from agl_core.trainer import Trainer


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@agl.rollout
def idle(task: Any) -> float:
    """Asks nobody."""
    return 1.0


class Noting:
    """Notes what it is given, and dies where it is told to; `more` makes of each kind another one first."""

    name = "noting"

    def __init__(self, *, dies: bool = False, more: bool = False) -> None:
        self.dies, self.more = dies, more
        self.found: dict[str, Any] = {}

    async def run(self, run: agl.Run) -> None:
        """One of each, and movements that depend on them."""
        if self.more:
            run.rng("another").random()
            run.uuid("another")
            run.new_id("another")
            await run.now("another")
        self.found = {
            "chance": run.rng("tasks").random(),
            "uuid": str(run.uuid("note")),
            "ids": [run.new_id("note"), run.new_id("note"), run.scope("a").new_id("note")],
            "now": await run.now(),
        }
        await run.step("keep", dict, self.found)
        if self.dies:
            raise KeyError("gone")


def lives(path, *algorithms):
    """The first begins a run and dies in it; the others take it up."""
    for n, algorithm in enumerate(algorithms):
        trainer = Trainer(algorithm=algorithm, store=str(path), preflight=False, seed=3)
        if n == 0:
            with pytest.raises(KeyError):
                trainer.fit(idle, [{"n": 0}], run_id="run-1")
        else:
            trainer.fit(idle, [{"n": 0}], resume="run-1")
    return [algorithm.found for algorithm in algorithms]


def test_a_resumed_run_is_given_the_same_time_ids_and_chance(tmp_path):
    """However much later it is: the step that is given them is found."""
    first, again = lives(tmp_path / "log.db", Noting(dies=True), Noting())

    assert again == first
    assert len({first["uuid"], *first["ids"]}) == 4
    assert UUID(first["uuid"]).version == 4
    assert first["now"] > 1.7e9


def test_one_draw_more_before_another_breaks_nothing(tmp_path):
    """A random number, a uuid, an id and a time of their own names, in the code of today and not in the log."""
    first, again = lives(tmp_path / "log.db", Noting(dies=True), Noting(more=True))

    assert again == first


def test_ids_of_two_runs_differ(tmp_path):
    """They are made of the run's own id."""
    (first,) = lives(tmp_path / "log.db", Noting(dies=True))
    other = Noting()

    Trainer(algorithm=other, store=str(tmp_path / "log.db"), preflight=False, seed=3).fit(idle, [{"n": 0}])

    assert not {first["uuid"], *first["ids"]} & {other.found["uuid"], *other.found["ids"]}
    assert other.found["chance"] == first["chance"], "chance is of the seed"
