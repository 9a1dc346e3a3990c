"""`kill -9` at any moment, `agl resume`, and the run ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import agl_core as agl
from agl_core import events
from agl_core.events import AttemptStarted, CallRecorded, MetricsLogged, RolloutFinished, StepRecorded
from agl_core.log import verify
from agl_core.record import Record

pytest.importorskip("agl_demo")
pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from dataclasses import replace
from agl_demo._job import Job

job = Job.of("tiny", seed=3, steps=4, deterministic=False, log=sys.argv[1])
tasks = {"train": 64, "val": 4, "test": 24}
grpo = dict(job.preset.grpo, tasks_per_step=8, group_size=4, checkpoint_every=3, eval_every=2)
job = replace(job, preset=replace(job.preset, warm_start={"steps": 40}, tasks=tasks, grpo=grpo, n_runners=32))
job.run(lambda records: None)
"""
"""The demo's own job, made short: every part of it is there."""


class Counted:
    """Waits for the n-th record of a kind that comes after it was made."""

    def __init__(self, kind: type, number: int, *, having: str = "") -> None:
        self.kind, self.left, self.having = kind, number, having

    def __call__(self, record: Record) -> bool:
        """Whether the moment has come."""
        if isinstance(record.event, self.kind) and self.having in str(record.event):
            self.left -= 1
        return self.left <= 0

    def __str__(self) -> str:
        return f"{self.left} {self.kind.__name__} {self.having}".strip()


MOMENTS = [
    Counted(MetricsLogged, 1, having="warm_start/loss"),
    Counted(CallRecorded, 20),
    Counted(StepRecorded, 1, having="label='update'"),
    Counted(RolloutFinished, 40),
    Counted(events.TestOpened, 1),
    Counted(AttemptStarted, 1),
]
"""In the warm start, in the first rollouts, right after an update, in a round, at the unsealing, in the examination."""


def test_a_run_that_is_killed_again_and_again_ends_with_every_task_once(tmp_path):
    """No finished rollout is run again; training goes on from the last checkpoint; the rows add up."""
    path = tmp_path / "log.db"
    command = [sys.executable, "-c", PROGRAM, str(path)]
    settled: set[str] = set()
    for moment in MOMENTS:
        told = str(moment)
        head = _kill_at(command, path, moment)
        with agl.open_log(str(path), readonly=True) as log:
            (run_id,) = log.rows("select run_id from runs")[0]
            settled = {row[0] for row in log.rows("select rollout_id from rollouts where finished_at is not null")}
        print(f"killed after {told}: {head} events, {len(settled)} rollouts settled")
        command = [sys.executable, "-m", "agl_core.cli", "resume", run_id, "--log", str(path), "--json"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert result["reward_before"]["n"] == result["reward_after"]["n"] == 24
    with agl.open_log(str(path), readonly=True) as log:
        _check(log)


def _kill_at(command: list[str], path: Path, moment: Callable[[Record], bool]) -> int:
    """Run `command` until `moment`, then kill it with all it has; the log's head by then."""
    reached = threading.Event()
    with agl.open_log(str(path)) as log:

        def heard(records: Iterable[Record]) -> None:
            if any(moment(record) for record in records):
                reached.set()

        forget = log.subscribe(heard)
        with log.waiting(), subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
            ended = threading.Thread(target=lambda: (process.wait(), reached.set()))
            ended.start()
            assert reached.wait(300), "the moment never came"
            assert process.poll() is None, f"it ended by itself before {moment}, with {process.returncode}"
            os.killpg(process.pid, signal.SIGKILL)
            ended.join()
        forget()
        return log.head()


def _check(log) -> None:
    assert not list(verify(log))
    groups = log.rows(
        "select grp, count(*), count(distinct task_id || repeat), min(status), max(status) from rollouts group by 1"
    )
    assert all(count == distinct for _, count, distinct, _, _ in groups), (
        "every task once, as often as it was asked for"
    )
    assert {status for *_, low, high in groups for status in (low, high)} == {"succeeded"}
    assert sorted(count for _, count, *_ in groups) == sorted([32] * 4 + [4] * 2 + [24] * 2)
    started: Counter[str] = Counter()
    finished: dict[str, int] = {}
    for record in log.read(types=["attempt.started", "rollout.finished"]):
        match record.event:
            case AttemptStarted(rollout_id=rollout_id):
                assert rollout_id not in finished, f"{rollout_id} was settled at {finished[rollout_id]} and ran again"
                started[rollout_id] += 1
            case RolloutFinished(rollout_id=rollout_id):
                assert rollout_id not in finished
                finished[rollout_id] = record.position
    assert set(started) == set(finished)
    for captured, kept, dropped in log.rows("select captured, kept, dropped from batches"):
        assert captured == kept + sum(json.loads(dropped).values())
    assert log.rows("select count(*) from batches") == [(4,)]
    steps = log.rows("select step from metrics where name = 'reward/mean' order by 1")
    assert steps == [(1,), (2,), (3,), (4,)]
    assert log.rows("select count(*) from events where type = 'test.opened'") == [(1,)]
    assert log.rows("select count(*) from in_flight") == [(0,)]
    unknown = log.rows("select count(*) from calls where status = 'unknown'")[0][0]
    print(f"{sum(started.values())} attempts for {len(finished)} rollouts; {unknown} calls were under way at the kills")
