"""A store over a log in memory, with a clock that stands still; and other processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from agl_core.clock import Still
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.store import Store, _decisions, _keeper

PATIENCE = 30.0
"""Seconds after which something that should come counts as lost."""


@pytest.fixture
def anyio_backend():
    """Async tests run on asyncio, as the store does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _keeper_sleeps(monkeypatch):
    """Leases are kept when a test says so: a tick in between would renew what is to expire."""
    monkeypatch.setattr(_keeper, "_TICK", 3600.0)


@pytest.fixture
def clock():
    """It moves when a test says so."""
    return Still()


@pytest.fixture
def log(clock):
    """Empty, in memory."""
    with SqliteLog(":memory:", projections=CORE, clock=clock) as log:
        yield log


@pytest.fixture
def store(log, clock):
    """Over `log`."""
    store = Store(log, clock=clock)
    yield store
    store.close()


@pytest.fixture
def expire(log, store):
    """What the keeper does on its next tick."""

    def expire(by: Store = store) -> None:
        log.transact(lambda view: _decisions.expire(view, by._leases))

    return expire


@dataclass
class Other:
    """A process beside this one, that does what it is told on stdin and says so on stdout."""

    process: subprocess.Popen[str]

    def says(self) -> str:
        """Its next line."""
        return self.process.stdout.readline().strip()

    def tell(self, line: str = "go") -> None:
        """A line on its stdin."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL: it cannot say goodbye."""
        self.process.kill()
        self.process.wait(PATIENCE)


@pytest.fixture
def other(log) -> Callable[[str], Other]:
    """Starts a process that has `store` and `log` over the same file, `asyncio` and a program of a test's."""
    started = []

    def other(program: str) -> Other:
        begin = "import asyncio, sys, agl_core\nstore = agl_core.open_store(sys.argv[1])\nlog = store.log\n"
        end = "\nstore.close()\nlog.close()\n"
        process = subprocess.Popen(
            [sys.executable, "-c", begin + program + end, log.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(process)
        return Other(process)

    yield other
    for process in started:
        process.kill()
        process.communicate()
