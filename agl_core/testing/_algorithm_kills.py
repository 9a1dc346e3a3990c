"""The same at length, for tests that are run apart: killed at every movement, and in processes that really die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agl_core.events import RunFinished
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.testing._algorithm_fixtures import AlgorithmFixtures, ends_the_same, spread
from agl_core.testing._algorithm_lives import Lives, Story, read_story
from agl_core.trainer._components import agent_component, algorithm_component

__all__ = ["AlgorithmKillContract"]

_SECONDS = 300
"""That a process has for a life."""


class AlgorithmKillContract(AlgorithmFixtures):
    """Inherit as `AlgorithmContract`, in a class that is marked slow; the fixtures of both may come from one."""

    kills: ClassVar[int] = 4
    """So many processes die, spread over the run: by turns before a fact of it is kept, and right after."""

    def test_killed_at_every_movement_and_resumed_it_ends_the_same(self, lives: Lives) -> None:
        """However many there are."""
        ends_the_same(lives, lives.images())

    def test_a_process_that_is_killed_is_gone_on_from_by_another(self, lives: Lives) -> None:
        """By `kill -9`; the other finds agent, algorithm and configuration in the log, as `agl resume` does."""
        whole, said = lives.whole(), _said(lives)

        for number, at in enumerate(spread(range(1, lives.boundaries() + 1), self.kills)):
            path, when = lives.folder / f"process-{at}.db", ("before", "after")[number % 2]
            _live({**said, "log": str(path), "at": at, "when": when}, wanted=-signal.SIGKILL)
            # A fact is heard of after it is kept: beside the last but one, the run may have come to its end meanwhile.
            if when == "before" or not _finished(path):
                _live({"log": str(path)}, wanted=0)

            assert _result(path).told() == whole.told(), f"killed {when} fact {at} of the run was kept"


def _said(lives: Lives) -> dict[str, Any]:
    """What another process needs to know; skips where it could not find what is local to this one."""
    agent = agent_component(lives.agent)
    algorithm = algorithm_component(lives.make(), Plugins.load())
    for component in (agent, algorithm):
        if not component.importable:
            pytest.skip(f"another process does not find {component.name}: {component.why}")
    options: Mapping[str, Any] = {name: value for name, value in lives.options.items() if name != "plugins"}
    try:
        json.dumps(options)
    except TypeError as error:
        pytest.skip(f"another process cannot be told its options: {error}")
    return {
        "agent": agent.name,
        "algorithm": {"name": algorithm.name, **algorithm.config},
        "tasks": {split: list(tasks) for split, tasks in lives.tasks.items()},
        "options": options,
    }


def _live(said: Mapping[str, Any], *, wanted: int) -> None:
    command = [sys.executable, "-m", "agl_core.testing._algorithm_process", json.dumps(said)]
    path = os.pathsep.join(filter(None, sys.path))
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert ended.returncode == wanted, ended.stderr


def _finished(path: Path) -> list[RunFinished]:
    with SqliteLog(path, projections=CORE, readonly=True) as log:
        events = [record.event for record in log.read(types=[RunFinished.type])]
    return [event for event in events if isinstance(event, RunFinished)]


def _result(path: Path) -> Story:
    (finished,) = _finished(path)
    return read_story(path, json.loads(json.dumps(dict(finished.result))))
