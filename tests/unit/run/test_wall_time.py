"""Where the time of a run went, by its facts: each figure by hand."""

from __future__ import annotations

import pytest

from agl_core.clock import Still
from agl_core.events import (
    AttemptExpired,
    CallRecorded,
    Component,
    GatewayPaused,
    GatewayResumed,
    MetricsLogged,
    ModelCall,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    StepRecorded,
)
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.run import WallTime, wall_time


class Story:
    """A log whose clock is turned by hand."""

    def __init__(self) -> None:
        self.clock = Still(0)
        self.log = SqliteLog(":memory:", projections=CORE, clock=self.clock)

    def at(self, second, event, *, stream="run/run-1", key=None, run_id="run-1"):
        """What happened then; its position."""
        self.clock.at = int(second * 1e9)
        return self.log.append([Draft(stream=stream, event=event, key=key, correlation_id=run_id)])[0].position

    def began(self, second, run_id="run-1"):
        """The run started."""
        agent = Component(name="agent")
        return self.at(
            second, RunStarted(run_id=run_id, agent=agent, algorithm=agent), stream=f"run/{run_id}", run_id=run_id
        )

    def called(self, since, until, *, name, model="policy", role="policy", status="ok", run_id="run-1"):
        """A call that took that long."""
        event = CallRecorded(
            call_id=name, rollout_id="ro-1", attempt_id="at-1", call=ModelCall(model=model), role=role, status=status,
            started_at=int(since * 1e9), latency=until - since,
        )  # fmt: skip
        return self.at(until, event, stream="rollout/ro-1", run_id=run_id)

    def updated(self, since, until, n=0):
        """A stateful step."""
        event = StepRecorded(run_id="run-1", label="update", digest="b2:", seconds=until - since)
        return self.at(until, event, key=f"run-1/main/update/update/{n}")

    def paused(self, since, model="policy"):
        """Calls are held back."""
        return self.at(since, GatewayPaused(model=model), stream=f"endpoint/{model}", run_id=None)

    def resumed(self, until, model="policy"):
        """And go on."""
        return self.at(until, GatewayResumed(model=model), stream=f"endpoint/{model}", run_id=None)

    def ended(self, second):
        """It came to its end."""
        return self.at(second, RunFinished(run_id="run-1"))

    def told(self, **options):
        """What the log says of it."""
        return wall_time(self.log, "run-1", **options)


@pytest.fixture
def story():
    """An empty one."""
    story = Story()
    yield story
    story.log.close()


def test_each_part_is_what_its_facts_say(story):
    """Ten seconds: two of answers that overlap, three of training, one of loading, four of nothing."""
    story.began(10)
    story.called(11, 12.5, name="ca-1")
    story.called(12, 13, name="ca-2")
    story.updated(14, 17)
    story.paused(17)
    story.resumed(18)
    story.ended(20)

    assert story.told() == WallTime(seconds=10, generating=2, training=3, loading=1, idle=4)
    assert story.told().shares == {"generating": 0.2, "training": 0.3, "loading": 0.1, "draining": 0, "idle": 0.4}
    assert story.told().metrics["time/step"] == 10


def test_what_goes_on_at_once_counts_for_both_and_idle_for_neither(story):
    """Training under open rollouts: eight seconds of answers, four of training among them."""
    story.began(0)
    story.updated(2, 6)
    story.called(0, 8, name="ca-1")
    story.ended(10)

    assert story.told() == WallTime(seconds=10, generating=8, training=4, idle=2)


def test_a_pause_drains_then_loads_and_who_waits_at_the_gate_is_not_answered(story):
    """A call of before keeps it for a second; one that came during it is under way from its end."""
    story.began(0)
    story.paused(2)
    story.called(1, 3, name="ca-1")
    story.resumed(5)
    story.called(4, 7, name="ca-2")
    story.ended(8)

    assert story.told() == WallTime(seconds=8, generating=4, loading=2, draining=1, idle=2)


def test_another_models_pause_holds_nobody_back(story):
    """Of two policies one is loaded while the other answers."""
    story.began(0)
    story.paused(1, "planner")
    story.called(1.5, 3, name="ca-1", model="solver")
    story.resumed(3, "planner")
    story.ended(4)

    told = story.told()

    assert (told.generating, told.draining + told.loading, told.idle) == (1.5, 2, 2)


def test_judges_tools_and_other_runs_are_not_generating(story):
    """Only the run's own policies are."""
    story.began(0)
    story.began(0, "run-2")
    story.called(1, 2, name="ca-1", role="judge")
    story.called(2, 3, name="ca-2", role="tool")
    story.called(3, 4, name="ca-3", run_id="run-2")
    story.ended(5)

    assert story.told() == WallTime(seconds=5, idle=5)


def test_the_time_between_two_lives_is_nobodys(story):
    """Killed at 3 and resumed at 100: what is said of the dead is said by the next process."""
    story.began(0)
    story.called(1, 3, name="ca-1")
    story.at(
        99,
        AttemptExpired(rollout_id="ro-1", attempt_id="at-1", exit_status="worker_lost", why="it died"),
        stream="rollout/ro-1",
    )
    story.called(99, 99, name="ca-2", status="unknown")
    story.at(100, RunResumed(run_id="run-1", after=4))
    story.called(101, 102, name="ca-3")
    story.at(104, RunFailed(run_id="run-1", code="X", why="y"))

    assert story.told() == WallTime(seconds=7, generating=3, idle=4)


def test_a_window_begins_where_it_is_told_to(story):
    """The end of a call that reaches into it counts, and its beginning does not."""
    story.began(0)
    since = story.at(4, MetricsLogged(run_id="run-1", step=1, metrics={"x": 1}))
    story.called(2, 6, name="ca-1")
    story.at(9, RunResumed(run_id="run-1", after=3))
    story.ended(10)

    assert story.told(after=since) == WallTime(seconds=3, generating=2, idle=1)


def test_a_run_that_is_not_there_took_no_time(story):
    """And divides by nothing."""
    assert story.told() == WallTime()
    assert set(story.told().shares.values()) == {0.0}
