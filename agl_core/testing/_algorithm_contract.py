"""What every algorithm promises, as tests to inherit: killed, cancelled or stopped anywhere, it ends as it should."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agl_core.agents import rollout
from agl_core.algorithm import Algorithm, is_durable
from agl_core.errors import AglError, ReplayDiverged
from agl_core.events import BatchFormed, RunFailed, StepRecorded
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.run import Failures, treated
from agl_core.store import Queries
from agl_core.testing._algorithm_fixtures import AlgorithmFixtures, ends_the_same, spread
from agl_core.testing._algorithm_images import RUN, Movement, asked_to_stop, copied, movements, tampered
from agl_core.testing._algorithm_lives import Lives, Story, left_behind, there
from agl_core.testing._scripted_model import ScriptedModel
from agl_core.trainer import check_history

__all__ = ["AlgorithmContract"]

_NOW = time.time
_LATER = 400 * 86_400.0
"""Seconds, so that no part of a date is what it was."""


class AlgorithmContract(AlgorithmFixtures):
    """Inherit, and override `make`; and `agent`, `tasks`, `options` and `provider` where the algorithm needs others."""

    deaths: ClassVar[int] = 24
    """In so many places a run is killed: in all, where it has no more; else spread over it."""
    cancels: ClassVar[int] = 3
    """In so many it is interrupted."""
    stops: ClassVar[bool] = True
    """Whether it has rounds, at the head of which it asks `run.goes_on()`."""

    # --- a run

    def test_it_is_durable(self, make: Callable[[], Algorithm]) -> None:
        """It has a name, and works through the run that it is handed."""
        algorithm = make()

        assert isinstance(algorithm.name, str)
        assert algorithm.name
        assert is_durable(algorithm)

    def test_it_ends(self, lives: Lives) -> None:
        """With something recorded, a result that is plain JSON, and a log that verifies."""
        story = lives.whole()

        assert story.movements
        assert story.result is not None
        assert story.faults == []

    def test_the_same_seed_gives_the_same_run(self, lives: Lives) -> None:
        """The same tasks in the same order, the same decisions, the same result: chance comes from `run.rng`."""
        first, again = lives.whole(), lives.live(lives.folder / "again.db")

        assert again.told() == first.told()

    def test_an_agent_that_fails_is_no_accident(self, lives: Lives) -> None:
        """Of no rollout comes a reward: the run ends, or says in an error with a code why it cannot go on."""
        failing = Lives(lives.make, _failing, lives.tasks, {**lives.options, "n_runners": 4}, lives.folder)

        try:
            failing.live(lives.folder / "failing.db")
        except AglError as error:
            assert error.code  # noqa: PT017 - either end is a good one

    # --- killed, and resumed

    def test_killed_at_any_movement_and_resumed_it_ends_the_same(self, lives: Lives) -> None:
        """What is recorded is not done again, what is missing is done, and nothing else comes of it.

        Before a movement, when it was done and not yet recorded, and when it was.
        """
        ends_the_same(lives, spread(lives.images(), self.deaths))

    def test_killed_again_and_again_it_ends_the_same(self, lives: Lives) -> None:
        """Each life goes a little further."""
        whole, images = lives.whole(), lives.images()

        first = images[len(images) // 3]
        further = [image for image in lives.killed_again(first, "killed-again") if image.head > first.head]
        resumed = lives.resumed(further[len(further) // 2], "killed-at-last")

        assert resumed.told() == whole.told()
        assert resumed.faults == []

    def test_a_log_that_says_otherwise_stops_it(self, lives: Lives) -> None:
        """Today's code asks for something else than the log remembers: the run fails with that, and does nothing."""
        with SqliteLog(lives.whole().path, projections=CORE, readonly=True) as log:
            moved = {movement.kind: movement for movement in reversed(movements(log)) if movement.kind != "log"}
        image = lives.images()[-1]

        for movement in moved.values():
            path = copied(image, lives.folder / f"diverged-{movement.kind}.db")
            tampered(path, movement)
            with pytest.raises(ReplayDiverged):
                lives.live(path, resume=True)

            assert _ended(path) == "REPLAY_DIVERGED", f"where {movement.key} was another"
            assert _facts(path) == _facts(image.path)

    def test_it_takes_time_ids_and_chance_from_the_run(self, lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
        """Gone through again at another time, with other dice, its run is the same: every movement is in the log.

        Nothing is carried out for that. `run.now()`, `run.new_id()`, `run.uuid()` and `run.rng(name)` are the same in
        every life; a clock, `uuid4()` and dice of its own are not.
        """
        path = lives.whole().path
        plugins = lives.options.get("plugins")
        before = random.getstate()
        monkeypatch.setattr(time, "time", lambda: _NOW() + _LATER)
        monkeypatch.setattr(time, "time_ns", lambda: int(_NOW() + _LATER * 1e9))
        random.seed("other dice")

        try:
            (checked,) = check_history(path, algorithm=lives.make(), plugins=plugins)
        finally:
            random.setstate(before)

        assert checked.outcome == "same", str(checked.error)

    # --- what it makes of what it gets

    def test_nothing_of_what_it_asked_for_is_lost(self, lives: Lives) -> None:
        """Every rollout came to its end and was read; every call of it is in the log once, and in its batch.

        A batch is made of policy calls, each of which became a row or was dropped for a reason: of what is masked, none
        did.
        """
        images = lives.images()

        for story in (lives.whole(), lives.resumed(images[len(images) // 2], "conserved")):
            with SqliteLog(story.path, projections=CORE, readonly=True) as log:
                assert log.rows(_UNSETTLED) == [], "rollouts that have not come to their ends"
                assert log.rows(_UNREAD) == [], "rounds of rollouts whose outcomes nobody read"
                assert log.rows(_TWICE) == [], "calls that are in the log more than once"
                assert log.rows(_UNDER_WAY) == [], "calls that nobody heard the end of"
                for batch in _batches(log):
                    traces = Queries(log).traces(batch.rollouts, as_of=batch.as_of)
                    asked = sum(call.role == "policy" for trace in traces for call in trace.calls)
                    assert batch.captured == asked, f"{batch.batch_id}: policy calls of its rollouts"
                    assert batch.captured == batch.kept + sum(batch.dropped.values())
                    counts = [trace for trace in treated(traces, Failures.of(batch.failures)) if trace.mask is None]
                    most = sum(call.role == "policy" for trace in counts for call in trace.calls)
                    assert batch.kept <= most, f"{batch.batch_id}: calls of masked rollouts became rows"
                    assert sum(batch.masked.values()) == len(batch.rollouts) - len(counts)

    # --- limits, and ends before its own

    def test_a_budget_is_kept_to(self, lives: Lives, provider: ScriptedModel | None) -> None:
        """The provider is asked no more than that; with a larger one the run goes on, and asks nothing again."""
        whole, asked = lives.whole(), _counted(provider)

        for most in spread(range(1, whole.calls), 2):
            before = asked()
            path = lives.folder / f"budget-{most}.db"
            try:
                lives.live(path, budget={"calls": most})
            except AglError as error:
                if error.code == "BUDGET_TOO_SMALL":  # by its plan, so that nothing has begun
                    assert asked() == before, "requests at the provider, before anything has begun"
                    continue
                assert error.code == "BUDGET_SPENT"  # noqa: PT017 - it may have come to a good end within it
            assert asked() - before <= most, "requests at the provider, within a budget"
            if _ended(path) is None:
                continue
            resumed = lives.live(path, resume=True, budget={"calls": whole.calls + most})
            assert resumed.told() == whole.told(), f"after a budget of {most} call(s) was spent"
            assert resumed.calls == whole.calls, "calls, all lives together"
            assert provider is None or asked() - before == whole.calls, "requests at the provider, all lives together"

    def test_asked_to_stop_it_ends_in_good_order(self, lives: Lives) -> None:
        """At the head of the next round, with a result; it asks `run.goes_on()` there, and begins no other."""
        if not self.stops:
            pytest.skip("it has no rounds")
        whole, images = lives.whole(), lives.images()
        assert "goes_on" in whole.movements, "it never asks run.goes_on()"

        for image in spread(images, 2)[:1] + spread(images, 3)[1:2]:
            stopped = lives.resumed(image, f"stopped-{image.head}", changed=asked_to_stop)

            assert _ended(stopped.path) is None
            assert bool(stopped.result) == bool(whole.result)
            told = _told_to_stop(stopped)
            assert max(told.values(), default=1) == 1, "scopes that asked again when they had been told to stop"
            assert told or image is not images[0], "it did not ask after it was asked to stop"
            assert not told or len(stopped.movements) < len(whole.movements), "it did as much as if nobody had asked"
            assert stopped.faults == []

    def test_cancelled_anywhere_it_leaves_nothing_and_can_be_resumed(self, lives: Lives) -> None:
        """By Ctrl-C: the log says so, no thread, process or port is left, and the run goes on to the same end."""
        if threading.current_thread() is not threading.main_thread():
            pytest.skip("Ctrl-C interrupts the main thread")
        whole, before = lives.whole(), there()

        for at in spread(range(1, lives.boundaries() + 1), self.cancels):
            path = lives.interrupted(f"cancelled-{at}", at=at)

            assert _ended(path) == "INTERRUPTED"
            assert left_behind(before) == frozenset()
            resumed = lives.live(path, resume=True)
            assert resumed.told() == whole.told(), f"cancelled at fact {at} of the run"
            assert resumed.faults == []


@rollout
def _failing(task: Any) -> float:
    """Never earns anything."""
    raise RuntimeError(f"nobody can do {task}")


def _ended(path: Path) -> str | None:
    """The code with which the run failed last; None where it finished."""
    with SqliteLog(path, projections=CORE, readonly=True) as log:
        if log.rows("select status from runs where run_id = ?", (RUN,)) == [("finished",)]:
            return None
        failures = [record.event for record in log.read(types=[RunFailed.type])]
    assert isinstance(failures[-1], RunFailed)
    return failures[-1].code


def _facts(path: Path) -> list[Movement]:
    with SqliteLog(path, projections=CORE, readonly=True) as log:
        return movements(log)


def _batches(log: SqliteLog) -> Iterator[BatchFormed]:
    for record in log.read(types=[BatchFormed.type]):
        assert isinstance(record.event, BatchFormed)
        yield record.event


def _counted(provider: ScriptedModel | None) -> Callable[[], int]:
    """How often a model was asked so far; 0 where nobody counts."""
    return lambda: 0 if provider is None else len(provider.requests)


def _told_to_stop(story: Story) -> dict[str, int]:
    """Scopes in which it was told to stop, and how often it asked since, that time among them."""
    told: dict[str, int] = {}
    with SqliteLog(story.path, projections=CORE, readonly=True) as log:
        asked = {movement.position: movement.scope for movement in movements(log) if movement.kind == "goes_on"}
        for record in log.read(types=[StepRecorded.type]):
            assert isinstance(record.event, StepRecorded)
            if record.position in asked and (record.event.result is False or asked[record.position] in told):
                told[asked[record.position]] = told.get(asked[record.position], 0) + 1
    return told


_UNSETTLED = "select rollout_id, status from rollouts where status not in ('succeeded', 'failed', 'cancelled')"
_UNREAD = """
select distinct grp from rollouts
where grp is null
or grp not like '%/launch/%' and grp not in (select key from events where type = 'outcomes.read' and key is not null)
"""
"""Of a flight, those that did not land were called off."""
_TWICE = """
select json_extract(data, '$.call_id'), count(*) from events where type = 'call.recorded'
group by 1 having count(*) > 1
"""
_UNDER_WAY = "select id from in_flight where kind = 'call'"
