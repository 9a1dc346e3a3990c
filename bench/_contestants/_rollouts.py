"""The workload as rollouts of a run: tasks that were tried, each with its calls and its reward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agl_core.events import (
    AttemptFinished,
    AttemptStarted,
    CallRecorded,
    Component,
    RewardGiven,
    RolloutEnqueued,
    RolloutFinished,
    RunStarted,
    Target,
)
from agl_core.ids import new_id, task_id
from agl_core.record import Draft
from bench._contestants._drafts import drafts
from bench._contestants._logs import open_log

__all__ = ["TRIES", "TURNS", "log_of"]

TURNS, TRIES = 5, 4
"""Calls of a rollout, and rollouts of a task."""
_AT_ONCE = 1000
"""Calls in memory."""


def log_of(path: Path, calls: int) -> str:
    """Make a log of a run that made so many calls, of 3.3 KB each; the run's id."""
    run_id, component = new_id("run"), Component(name="bench:agent")
    with open_log(path) as log:
        started = RunStarted(run_id=run_id, agent=component, algorithm=component)
        log.append([Draft(stream=f"run/{run_id}", event=started, correlation_id=run_id)])
        for begin in range(0, calls, _AT_ONCE):
            made = drafts(min(_AT_ONCE, calls - begin), event="call", seed=begin)
            for first in range(0, len(made), TURNS):
                log.append(list(_rollout(run_id, (begin + first) // TURNS, made[first : first + TURNS])))
    return run_id


def _rollout(run_id: str, number: int, calls: list[Draft]) -> Iterator[Draft]:
    rollout_id, attempt_id, task = new_id("ro"), new_id("at"), {"question": number // TRIES}
    asked = RolloutEnqueued(
        rollout_id=rollout_id, input=task, task_id=task_id(task), mode="train", run_id=run_id, group="g",
        repeat=number % TRIES,
    )  # fmt: skip
    taken = AttemptStarted(rollout_id=rollout_id, attempt_id=attempt_id, sequence=1, worker_id="wk-bench", token=1)
    given = RewardGiven(
        rollout_id=rollout_id, attempt_id=attempt_id, target=Target(kind="rollout", id=rollout_id), judge="agent",
        value=float(number % 3),
    )  # fmt: skip
    ended = AttemptFinished(rollout_id=rollout_id, attempt_id=attempt_id, exit_status="completed")
    over = RolloutFinished(
        rollout_id=rollout_id, attempt_id=attempt_id, status="succeeded", exit_status="completed"
    )  # fmt: skip
    said = [
        replace(one.event, rollout_id=rollout_id, attempt_id=attempt_id)
        for one in calls
        if isinstance(one.event, CallRecorded)
    ]
    for event in (asked, taken, *said, given, ended, over):
        yield Draft(stream=f"rollout/{rollout_id}", event=event, correlation_id=run_id)
